//go:debug httpmuxgo121=0

// Command billing is both roles of the lab in Go, written from its README alone: quorum queues, one order at a time.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "replay" {
		if err := replay(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	root := http.NewServeMux()
	ready, stopped := make(chan struct{}), make(chan struct{})
	if os.Getenv("ROLE") == "worker" {
		table, err := sql.Open("postgres", os.Getenv("DATABASE_URL")+"?sslmode=disable")
		if err != nil {
			panic(err)
		}
		w := &worker{
			table: table, client: &http.Client{Timeout: milliseconds("GATEWAY_TIMEOUT_MS", 5000)}, stop: stop, ready: ready,
			limit: number("MAX_ATTEMPTS", 5), delay: number("RETRY_DELAY_MS", 2000), stopped: stopped,
		}
		go w.run()
	} else {
		root.Handle("/", api())
		close(ready)
		close(stopped)
	}
	ok := func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, map[string]string{"status": "ok"}) }
	root.HandleFunc("GET /healthz", ok)
	root.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-ready:
			ok(w, r)
		default:
			answer(w, 503, map[string]string{"error": "unavailable"})
		}
	})
	server := &http.Server{Addr: ":" + env("PORT", "8000"), Handler: root}
	go func() { _ = server.ListenAndServe() }()
	<-stop.Done()
	grace, release := context.WithTimeout(context.Background(), milliseconds("SHUTDOWN_GRACE_MS", 20000)-time.Second)
	defer release()
	_ = server.Shutdown(grace)
	select {
	case <-stopped:
	case <-grace.Done():
	}
}
