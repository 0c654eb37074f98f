package main

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// storm refuses requests beyond a rate, as a service does that asks its clients to slow down.
type storm struct {
	mutex sync.Mutex
	rate  float64 // requests a second; 0: all are welcome
	room  float64
	last  time.Time
}

func (s *storm) set(rate float64) {
	s.mutex.Lock()
	s.rate, s.room, s.last = rate, rate/10, time.Now()
	s.mutex.Unlock()
}

func (s *storm) refuses() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.rate == 0 {
		return false
	}
	now := time.Now()
	s.room = min(s.rate/10, s.room+now.Sub(s.last).Seconds()*s.rate)
	s.last = now
	if s.room < 1 {
		return true
	}
	s.room--
	return false
}

type counts struct {
	requests, refused, in, out atomic.Int64
	by                         sync.Map // what was asked → *atomic.Int64
}

func (c *counts) add(what string) {
	c.requests.Add(1)
	n, ok := c.by.Load(what)
	if !ok {
		n, _ = c.by.LoadOrStore(what, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}

// control answers what begins with /_null/:
//
//	GET  /_null/counts           requests and bytes since the last reset, as JSON
//	POST /_null/reset            forgets what was written and counted
//	POST /_null/keep             a regular expression: which bodies are kept from now on
//	POST /_null/storm            requests a second above which 503 SlowDown is the answer; 0 for never
func (s *server) control(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	switch r.Method + r.URL.Path {
	case "GET/_null/counts":
		by := map[string]int64{}
		s.counts.by.Range(func(what, n any) bool {
			by[what.(string)] = n.(*atomic.Int64).Load()
			return true
		})
		_ = json.NewEncoder(w).Encode(map[string]any{
			"requests": s.counts.requests.Load(), "refused": s.counts.refused.Load(),
			"in": s.counts.in.Load(), "out": s.counts.out.Load(), "by": by,
		})
	case "POST/_null/reset":
		s.store.reset()
		s.counts.requests.Store(0)
		s.counts.refused.Store(0)
		s.counts.in.Store(0)
		s.counts.out.Store(0)
		s.counts.by.Clear()
	case "POST/_null/keep":
		keep, err := regexp.Compile(string(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.store.mutex.Lock()
		s.store.keep = keep
		s.store.mutex.Unlock()
	case "POST/_null/storm":
		rate, err := strconv.ParseFloat(string(body), 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.storm.set(rate)
	default:
		http.Error(w, "there is counts, reset, keep, storm", http.StatusNotFound)
	}
}
