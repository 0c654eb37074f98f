package main

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// What a client reads back: commits, manifests, indexes, probes.
const defaultKeep = `(commit\.json|manifest-[0-9a-f]+\.jsonl\.zst|inputs-[0-9a-f]+\.jsonl\.zst|/sets/.*|/probes/.*)$`

const largestKept = 64 << 20

type source interface {
	writeTo(w io.Writer, offset, length int64) error
}

type object struct {
	size   int64
	etag   string
	source source // nil: thrown away
}

type kept []byte

func (k kept) writeTo(w io.Writer, offset, length int64) error {
	_, err := w.Write(k[offset : offset+length])
	return err
}

type upload struct {
	key   string
	parts map[int]part
}

type part struct {
	size int64
	etag string
	body []byte
}

// store remembers what was written: sizes, and the bodies that are to be kept.
type store struct {
	mutex   sync.RWMutex
	objects map[string]*object
	uploads map[string]*upload
	keep    *regexp.Regexp
	serial  atomic.Uint64
}

func newStore(keep string) *store {
	return &store{objects: map[string]*object{}, uploads: map[string]*upload{}, keep: regexp.MustCompile(keep)}
}

func (s *store) find(key string) (*object, bool) {
	s.mutex.RLock()
	found, ok := s.objects[key]
	s.mutex.RUnlock()
	if ok {
		return found, true
	}
	return virtual(key)
}

func (s *store) keeps(key string) bool {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	return s.keep.MatchString(key)
}

func (s *store) put(key string, written *object) {
	s.mutex.Lock()
	s.objects[key] = written
	s.mutex.Unlock()
}

func (s *store) remove(key string) {
	s.mutex.Lock()
	delete(s.objects, key)
	s.mutex.Unlock()
}

// reset forgets everything that was written.
func (s *store) reset() {
	s.mutex.Lock()
	s.objects, s.uploads = map[string]*object{}, map[string]*upload{}
	s.mutex.Unlock()
}

// names gives up to most+1 keys after a key, in order.
func (s *store) names(prefix, after string, most int) []string {
	if of, start, ok := findSet(prefix); ok {
		first := 0
		if len(after) > start {
			first = atoi(after[start:]) + 1
		}
		found := []string{}
		for n := first; n < of.count && len(found) <= most; n++ {
			if key := prefix[:start] + member(n); strings.HasPrefix(key, prefix) {
				found = append(found, key)
			}
		}
		return found
	}
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	found := []string{}
	for key := range s.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	return found[:min(len(found), most+1)]
}
