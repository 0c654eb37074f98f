package main

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

func (s *server) begin(w http.ResponseWriter, key string) {
	id := fmt.Sprintf("upload-%d", s.store.serial.Add(1))
	s.store.mutex.Lock()
	s.store.uploads[id] = &upload{key, map[int]part{}}
	s.store.mutex.Unlock()
	reply(w, struct {
		XMLName       xml.Name `xml:"InitiateMultipartUploadResult"`
		Key, UploadId string
	}{Key: key, UploadId: id})
}

func (s *server) find(w http.ResponseWriter, id string) (*upload, bool) {
	s.store.mutex.RLock()
	found, ok := s.store.uploads[id]
	s.store.mutex.RUnlock()
	if !ok {
		fail(w, http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist.")
	}
	return found, ok
}

func (s *server) putPart(w http.ResponseWriter, r *http.Request, query url.Values) {
	into, ok := s.find(w, query.Get("uploadId"))
	if !ok {
		return
	}
	size, body, err := s.receive(r, into.key)
	if err != nil {
		return
	}
	written := part{size, etag(s.store.serial.Add(1)), body}
	s.store.mutex.Lock()
	into.parts[atoi(query.Get("partNumber"))] = written
	s.store.mutex.Unlock()
	w.Header()["Etag"] = []string{written.etag}
}

func (s *server) finish(w http.ResponseWriter, r *http.Request, key, id string) {
	from, ok := s.find(w, id)
	if !ok {
		return
	}
	var asked struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Part) == 0 {
		fail(w, http.StatusBadRequest, "MalformedXML", "no list of parts")
		return
	}
	written := &object{etag: etag(s.store.serial.Add(1))}
	body := kept{}
	s.store.mutex.Lock()
	defer s.store.mutex.Unlock()
	for _, each := range asked.Part {
		sent, ok := from.parts[each.PartNumber]
		if !ok || strings.Trim(sent.etag, `"`) != strings.Trim(each.ETag, `"`) {
			fail(w, http.StatusBadRequest, "InvalidPart", fmt.Sprintf("part %d was not sent", each.PartNumber))
			return
		}
		written.size += sent.size
		body = append(body, sent.body...)
	}
	if int64(len(body)) == written.size {
		written.source = body
	}
	s.store.objects[key] = written
	delete(s.store.uploads, id)
	reply(w, struct {
		XMLName   xml.Name `xml:"CompleteMultipartUploadResult"`
		Key, ETag string
	}{Key: key, ETag: written.etag})
}

func (s *server) abort(w http.ResponseWriter, id string) {
	s.store.mutex.Lock()
	delete(s.store.uploads, id)
	s.store.mutex.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) listParts(w http.ResponseWriter, query url.Values) {
	of, ok := s.find(w, query.Get("uploadId"))
	if !ok {
		return
	}
	type item struct {
		PartNumber int
		ETag       string
		Size       int64
	}
	page := struct {
		XMLName     xml.Name `xml:"ListPartsResult"`
		IsTruncated bool
		Part        []item
	}{}
	s.store.mutex.RLock()
	for number, sent := range of.parts {
		if number > atoi(query.Get("part-number-marker")) {
			page.Part = append(page.Part, item{number, sent.etag, sent.size})
		}
	}
	s.store.mutex.RUnlock()
	slices.SortFunc(page.Part, func(a, b item) int { return a.PartNumber - b.PartNumber })
	reply(w, page)
}

func (s *server) listUploads(w http.ResponseWriter, query url.Values) {
	type item struct{ Key, UploadId, Initiated string }
	page := struct {
		XMLName     xml.Name `xml:"ListMultipartUploadsResult"`
		IsTruncated bool
		Upload      []item
	}{}
	s.store.mutex.RLock()
	for id, each := range s.store.uploads {
		if strings.HasPrefix(each.key, query.Get("prefix")) {
			page.Upload = append(page.Upload, item{each.key, id, time.Now().UTC().Format(time.RFC3339)})
		}
	}
	s.store.mutex.RUnlock()
	reply(w, page)
}
