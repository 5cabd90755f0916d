// Command sumdb-server serves a checksum database with the code of golang.org/x/mod, on a free port of 127.0.0.1. It reads
// JSON from stdin: first what it is, then one record per line; and writes a JSON line to stdout once it listens, then one for
// each record. It ends when stdin does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"sync"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
)

type setup struct {
	Name   string `json:"name"`
	Signer string `json:"signer"`
	Port   int    `json:"port"`
}

// record becomes part of the log at once, or, when Lazy is set, with the first lookup.
type record struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Text    string `json:"text"`
	Lazy    bool   `json:"lazy"`
}

type answer struct {
	Port int    `json:"port,omitempty"`
	ID   *int64 `json:"id,omitempty"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	var config setup
	read(in, &config)

	var texts sync.Map
	database := sumdb.NewTestServer(config.Signer, func(path, version string) ([]byte, error) {
		text, ok := texts.Load(path + "@" + version)
		if !ok {
			// As it is: the server does not unwrap.
			return nil, fs.ErrNotExist
		}
		return []byte(text.(string)), nil
	})
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", config.Port))
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, handler(config.Name, database))) }()
	write(out, answer{Port: listener.Addr().(*net.TCPAddr).Port})

	for {
		var added record
		if !read(in, &added) {
			return
		}
		texts.Store(added.Path+"@"+added.Version, added.Text)
		if added.Lazy {
			write(out, answer{})
			continue
		}
		id, err := database.Lookup(context.Background(), module.Version{Path: added.Path, Version: added.Version})
		if err != nil {
			log.Fatal(err)
		}
		write(out, answer{ID: &id})
	}
}

// handler answers at the root, as a database does, and below /sumdb/<name>, as a proxy does.
func handler(name string, database *sumdb.TestServer) http.Handler {
	server := sumdb.NewServer(database)
	prefix := "/sumdb/" + name
	mux := http.NewServeMux()
	for _, path := range sumdb.ServerPaths {
		mux.Handle(path, server)
		mux.Handle(prefix+path, http.StripPrefix(prefix, server))
	}
	mux.HandleFunc(prefix+"/supported", func(http.ResponseWriter, *http.Request) {})
	return mux
}

func read(in *bufio.Scanner, value any) bool {
	if !in.Scan() {
		if err := in.Err(); err != nil {
			log.Fatal(err)
		}
		return false
	}
	if err := json.Unmarshal(in.Bytes(), value); err != nil {
		log.Fatalf("input %q: %v", in.Text(), err)
	}
	return true
}

func write(out *json.Encoder, value answer) {
	if err := out.Encode(value); err != nil {
		log.Fatal(err)
	}
}
