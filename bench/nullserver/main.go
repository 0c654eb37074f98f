// nullserver speaks enough of S3 to be the other side of a benchmark, and does next to nothing else, so that the client is what is
// measured. Objects whose keys end in `<count>x<size>/<7 digits>` exist without having been written (virtual.go). What is written is
// read and thrown away, but for its size; bodies are kept only where a client must read back what it wrote (store.go). Nobody's
// signature is checked.
//
// It prints its address and serves until it is killed. Under /_null/ it can be asked and told things (control.go).
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	cert := flag.String("cert", "", "certificate (PEM): serve TLS")
	key := flag.String("key", "", "key of the certificate (PEM)")
	keep := flag.String("keep", defaultKeep, "bodies of keys that match this are kept, up to 64 MiB each")
	flag.Parse()

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		// HTTP/1.1 only, as S3 itself.
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
	}
	s := &server{store: newStore(*keep), storm: &storm{}}
	log.Fatal((&http.Server{Handler: s}).Serve(listener))
}
