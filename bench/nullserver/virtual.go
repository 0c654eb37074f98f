package main

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
)

// A set of objects that nobody wrote: `<anything>/4000x10KiB/0000000` to `…/0003999`. With `-zeros` after the size all bytes are 0.
type set struct {
	count int
	size  int64
	zeros bool
}

var (
	setName  = regexp.MustCompile(`(?:^|/)(\d+)x(\d+)(B|KiB|MiB|GiB)(-zeros)?/`)
	units    = map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	contents = random(8 << 20)
	nothing  = make([]byte, 1<<20)
)

func random(size int) []byte {
	generator := rand.NewChaCha8([32]byte{})
	data := make([]byte, size)
	_, _ = generator.Read(data)
	return data
}

// findSet tells which set a key or a prefix names, and where in the key the object's digits begin.
func findSet(key string) (set, int, bool) {
	at := setName.FindStringSubmatchIndex(key)
	if at == nil {
		return set{}, 0, false
	}
	count, _ := strconv.Atoi(key[at[2]:at[3]])
	size, _ := strconv.ParseInt(key[at[4]:at[5]], 10, 64)
	return set{count, size * units[key[at[6]:at[7]]], at[8] >= 0}, at[1], true
}

func member(n int) string { return fmt.Sprintf("%07d", n) }

// virtual finds an object that nobody wrote.
func virtual(key string) (*object, bool) {
	of, start, ok := findSet(key)
	if !ok || len(key) != start+7 {
		return nil, false
	}
	n, err := strconv.Atoi(key[start:])
	if err != nil || n < 0 || n >= of.count {
		return nil, false
	}
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, key)
	seed := hash.Sum64()
	if of.zeros {
		return &object{size: of.size, etag: etag(seed), source: repeated{nothing, 0}}, true
	}
	return &object{size: of.size, etag: etag(seed), source: repeated{contents, int64(seed % uint64(len(contents)))}}, true
}

// repeated is the same bytes again and again, begun somewhere: as cheap as content can be that differs from object to object.
type repeated struct {
	block []byte
	shift int64
}

func (r repeated) writeTo(w io.Writer, offset, length int64) error {
	const piece = 256 << 10
	position := (offset + r.shift) % int64(len(r.block))
	for length > 0 {
		part := r.block[position:min(position+min(length, piece), int64(len(r.block)))]
		if _, err := w.Write(part); err != nil {
			return err
		}
		length -= int64(len(part))
		position = (position + int64(len(part))) % int64(len(r.block))
	}
	return nil
}

// It looks like the MD5 of a small object and is none: clients that compare it must be told not to. (One that looks like that of an
// object written in parts costs rclone a HEAD for every file.)
func etag(n uint64) string { return fmt.Sprintf(`"%032x"`, n) }
