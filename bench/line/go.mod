module datums.dev/bench/line

go 1.24
