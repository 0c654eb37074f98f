// line is a network line on loopback: a TCP forwarder that takes its time. Where a kernel has netem, that is truer: there is no loss
// here and no slow start, only a distance, a width that all connections share in each direction, and a bounded number of bytes that
// one connection can have under way, as the kernel's buffers bound it.
//
// It prints its address and serves until it is killed.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"sync"
	"time"
)

const (
	chunk = 64 << 10
	// For a round trip: 4 MiB, what Linux lets a connection have by default.
	window = 2 << 20
	// Sleeps last longer than asked: so much of the line's time may be made up for.
	credit = 20 * time.Millisecond
)

// width is what one direction can carry.
type width struct {
	mutex sync.Mutex
	rate  float64 // bytes a second; 0: any
	free  time.Time
}

// reserve gives the time at which so many bytes have gone into the line.
func (w *width) reserve(bytes int) time.Time {
	now := time.Now()
	if w.rate == 0 {
		return now
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if earliest := now.Add(-credit); w.free.Before(earliest) {
		w.free = earliest
	}
	w.free = w.free.Add(time.Duration(float64(bytes) / w.rate * float64(time.Second)))
	return w.free
}

type packet struct {
	data    *[chunk]byte
	length  int
	arrives time.Time
}

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

func carry(from, to net.Conn, delay time.Duration, through *width) {
	way := make(chan packet, window/chunk)
	go func() {
		defer close(way)
		for {
			data := chunks.Get().(*[chunk]byte)
			n, err := from.Read(data[:])
			if n > 0 {
				sent := through.reserve(n)
				time.Sleep(time.Until(sent))
				way <- packet{data, n, sent.Add(delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	var err error
	for each := range way {
		if err == nil {
			time.Sleep(time.Until(each.arrives))
			if _, err = to.Write(each.data[:each.length]); err != nil {
				_ = from.Close()
			}
		}
		chunks.Put(each.data)
	}
	if half, ok := to.(*net.TCPConn); ok && err == nil {
		_ = half.CloseWrite()
	}
}

func serve(client net.Conn, target string, delay time.Duration, up, down *width) {
	defer client.Close()
	time.Sleep(2 * delay) // the handshake of TCP
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() { carry(client, server, delay, up); close(done) }()
	carry(server, client, delay, down)
	<-done
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	target := flag.String("target", "", "address to forward to")
	delay := flag.Duration("delay", 0, "one way; a round trip takes twice as long")
	rate := flag.Float64("rate", 0, "bytes a second in each direction, of all connections together; 0 for any")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	up, down := &width{rate: *rate}, &width{rate: *rate}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(client, *target, *delay, up, down)
	}
}
