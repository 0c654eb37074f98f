module datums.dev/testbed/noshell

go 1.24.0
