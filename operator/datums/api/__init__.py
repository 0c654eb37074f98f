"""The kinds as types: what users write and read, and the CRDs and reference pages generated from it."""
