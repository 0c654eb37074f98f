package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const modified = "Sun, 01 Mar 2026 00:00:00 GMT"

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

type server struct {
	store  *store
	storm  *storm
	counts counts
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_null/") {
		s.control(w, r)
		return
	}
	_, key, _ := strings.Cut(r.URL.Path[1:], "/")
	what := r.Method
	var query url.Values
	if r.URL.RawQuery != "" {
		query = r.URL.Query()
	}
	switch {
	case query.Has("uploads"):
		what += " uploads"
	case query.Has("uploadId"):
		what += " part"
	case key == "":
		what += " bucket"
	}
	s.counts.add(what)
	if s.storm.refuses() {
		s.counts.refused.Add(1)
		w.Header().Set("Connection", "close") // the body is not read
		fail(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
		return
	}
	switch what {
	case "GET", "HEAD":
		s.get(w, r, key)
	case "PUT":
		s.put(w, r, key)
	case "DELETE":
		s.store.remove(key)
		w.WriteHeader(http.StatusNoContent)
	case "GET bucket":
		s.list(w, query)
	case "POST bucket":
		s.removeMany(w, r)
	case "POST uploads":
		s.begin(w, key)
	case "PUT part":
		s.putPart(w, r, query)
	case "GET part":
		s.listParts(w, query)
	case "POST part":
		s.finish(w, r, key, query.Get("uploadId"))
	case "DELETE part":
		s.abort(w, query.Get("uploadId"))
	case "GET uploads":
		s.listUploads(w, query)
	case "HEAD bucket", "PUT bucket":
	default:
		fail(w, http.StatusNotImplemented, "NotImplemented", what)
	}
}

func (s *server) get(w http.ResponseWriter, r *http.Request, key string) {
	found, ok := s.store.find(key)
	if !ok {
		fail(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	header := w.Header()
	if wanted := r.Header.Get("If-Match"); wanted != "" && wanted != "*" && wanted != found.etag {
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "The object has another ETag.")
		return
	}
	offset, length, status := int64(0), found.size, http.StatusOK
	if text := r.Header.Get("Range"); text != "" {
		offset, length, ok = span(text, found.size)
		if !ok {
			fail(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
			return
		}
		status = http.StatusPartialContent
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, offset+length-1, found.size))
	}
	header["Etag"] = []string{found.etag}
	header["Last-Modified"] = []string{modified}
	header["Accept-Ranges"] = []string{"bytes"}
	header["Content-Type"] = []string{"application/octet-stream"}
	header["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	if r.Method == "HEAD" {
		w.WriteHeader(status)
		return
	}
	if found.source == nil {
		clear(header)
		fail(w, http.StatusNotFound, "NoSuchKey", "The null server has thrown the bytes of this object away.")
		return
	}
	w.WriteHeader(status)
	if found.source.writeTo(w, offset, length) == nil {
		s.counts.out.Add(length)
	}
}

// span reads `bytes=a-b`, `bytes=a-` and `bytes=-n`.
func span(text string, size int64) (offset, length int64, ok bool) {
	first, last, found := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	if !found {
		return 0, 0, false
	}
	end := size
	if first == "" {
		offset = max(0, size-int64(atoi(last)))
	} else {
		offset = int64(atoi(first))
		if last != "" {
			end = min(size, int64(atoi(last))+1)
		}
	}
	return offset, end - offset, offset < end
}

// receive reads a body to its end: how many bytes, and the bytes where they are to be kept.
func (s *server) receive(r *http.Request, key string) (int64, []byte, error) {
	if s.store.keeps(key) && r.ContentLength <= largestKept {
		body, err := io.ReadAll(r.Body)
		s.counts.in.Add(int64(len(body)))
		return int64(len(body)), body, err
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	got := int64(0)
	for {
		n, err := r.Body.Read(*buffer)
		got += int64(n)
		if err == io.EOF {
			s.counts.in.Add(got)
			if decoded := r.Header.Get("X-Amz-Decoded-Content-Length"); decoded != "" {
				got, _ = strconv.ParseInt(decoded, 10, 64)
			}
			return got, nil, nil
		}
		if err != nil {
			return got, nil, err
		}
	}
}

func (s *server) put(w http.ResponseWriter, r *http.Request, key string) {
	if r.Header.Get("If-None-Match") == "*" {
		if _, taken := s.store.find(key); taken {
			fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "The key is taken.")
			return
		}
	}
	size, body, err := s.receive(r, key)
	if err != nil {
		return
	}
	written := &object{size: size, etag: etag(s.store.serial.Add(1))}
	if body != nil {
		written.source = kept(body)
	}
	s.store.put(key, written)
	w.Header()["Etag"] = []string{written.etag}
}

type listed struct {
	Key, LastModified, ETag string
	Size                    int64
	StorageClass            string
}

func (s *server) list(w http.ResponseWriter, query url.Values) {
	if query.Has("location") {
		reply(w, struct {
			XMLName xml.Name `xml:"LocationConstraint"`
		}{})
		return
	}
	most := 1000
	if n := query.Get("max-keys"); n != "" {
		most = min(most, atoi(n))
	}
	after := max(query.Get("continuation-token"), query.Get("start-after"), query.Get("marker"))
	prefix := query.Get("prefix")
	names := s.store.names(prefix, after, most)
	page := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Prefix                string
		KeyCount, MaxKeys     int
		IsTruncated           bool
		EncodingType          string `xml:",omitempty"`
		NextContinuationToken string `xml:",omitempty"`
		NextMarker            string `xml:",omitempty"`
		Contents              []listed
	}{Prefix: prefix, MaxKeys: most, EncodingType: query.Get("encoding-type")}
	if len(names) > most {
		names = names[:most]
		page.IsTruncated = true
		page.NextContinuationToken, page.NextMarker = names[most-1], names[most-1]
	}
	for _, name := range names {
		if found, ok := s.store.find(name); ok {
			shown := name
			if page.EncodingType == "url" {
				shown = strings.ReplaceAll(url.QueryEscape(name), "%2F", "/")
			}
			page.Contents = append(page.Contents, listed{shown, "2026-03-01T00:00:00.000Z", found.etag, found.size, "STANDARD"})
		}
	}
	page.KeyCount = len(page.Contents)
	reply(w, page)
}

func (s *server) removeMany(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Object []struct{ Key string }
	}
	if err := xml.NewDecoder(r.Body).Decode(&asked); err != nil {
		fail(w, http.StatusBadRequest, "MalformedXML", err.Error())
		return
	}
	for _, each := range asked.Object {
		s.store.remove(each.Key)
	}
	reply(w, struct {
		XMLName xml.Name `xml:"DeleteResult"`
	}{})
}

func reply(w http.ResponseWriter, document any) {
	body, err := xml.Marshal(document)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_, _ = io.WriteString(w, xml.Header)
	_, _ = w.Write(body)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>%s</Message></Error>", xml.Header, code, message)
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
