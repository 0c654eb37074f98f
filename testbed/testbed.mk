# The real Kubernetes that tests and the demo run on; the top-level Makefile includes this file. CLUSTER=current takes the
# cluster that KUBECONFIG names instead, IMAGE= another image of the project.
CLUSTER ?= testbed
IMAGE ?= datums:dev
TESTBED := CLUSTER=$(CLUSTER) IMAGE=$(IMAGE) python3 -m testbed

.PHONY: cluster cluster-down cluster-purge cluster-status cluster-check-clean binaries images s3
cluster: ## a real Kubernetes on this machine (root, Linux); ends with the KUBECONFIG to export
	@$(TESTBED) up

cluster-down: ## ends the cluster and removes what it made on the machine
	@$(TESTBED) down

cluster-purge: ## cluster-down, and .testbed with its binaries and images
	@$(TESTBED) down --purge

cluster-status: ## what of the cluster runs
	@$(TESTBED) status

cluster-check-clean: ## compares the machine with how it was before the cluster
	@$(TESTBED) check-clean

binaries: ## the programs alone (hyperkube, kubectl, helm): what integration tests need, without root
	@$(TESTBED) binaries

images: ## builds the base, test and project images and loads them into the cluster
	@$(TESTBED) images

s3: ## an S3 server in the cluster, namespace datums-s3
	@$(TESTBED) s3
