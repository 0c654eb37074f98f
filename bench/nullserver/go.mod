module datums.dev/bench/nullserver

go 1.24
