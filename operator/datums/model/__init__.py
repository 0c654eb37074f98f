"""The pure core: links, ids, keys, manifests, and the documents that the operator and the pod exchange. No I/O."""
