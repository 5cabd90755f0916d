// Command sumdb-client looks module versions up in a checksum database with the client of golang.org/x/mod. It reads one JSON
// request per line and writes one JSON answer per line, in the same order. The tree it has seen and what it has cached are kept
// from one line to the next, unless the request says otherwise.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb"
)

// request asks for versions, each "path version" or "path version/go.mod", all at the same time.
type request struct {
	// URL is where the database answers, without a trailing slash.
	URL string `json:"url"`
	// Key is the verifier key.
	Key      string   `json:"key"`
	Versions []string `json:"versions"`
	// Restart begins a new client, as a new go command would be one.
	Restart bool `json:"restart"`
	// Forget empties the cache, but for the tree that was seen last.
	Forget bool `json:"forget"`
}

type found struct {
	Lines []string `json:"lines"`
	Error string   `json:"error,omitempty"`
}

// answer has what was found of each version. Security is what x/mod says of a database that lies.
type answer struct {
	Found    []found `json:"found"`
	Security string  `json:"security,omitempty"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	ops := &machine{config: map[string][]byte{}, cache: map[string][]byte{}}
	client := sumdb.NewClient(ops)
	for in.Scan() {
		var asked request
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			log.Fatalf("request %q: %v", in.Text(), err)
		}
		ops.begin(&asked)
		if asked.Restart {
			client = sumdb.NewClient(ops)
		}
		if err := out.Encode(answer{Found: lookUp(client, asked.Versions), Security: ops.security}); err != nil {
			log.Fatal(err)
		}
	}
	if err := in.Err(); err != nil {
		log.Fatal(err)
	}
}

func lookUp(client *sumdb.Client, versions []string) []found {
	answers := make([]found, len(versions))
	var all sync.WaitGroup
	for i, wanted := range versions {
		all.Add(1)
		go func() {
			defer all.Done()
			path, version, _ := strings.Cut(wanted, " ")
			lines, err := client.Lookup(path, version)
			answers[i].Lines = lines
			if err != nil {
				answers[i].Error = err.Error()
			}
		}()
	}
	all.Wait()
	return answers
}

// machine is what the client knows of the world outside.
type machine struct {
	url, key string

	mu       sync.Mutex
	config   map[string][]byte
	cache    map[string][]byte
	security string
}

func (m *machine) begin(asked *request) {
	m.url, m.key, m.security = asked.URL, asked.Key, ""
	if asked.Forget {
		clear(m.cache)
	}
}

func (m *machine) ReadRemote(path string) ([]byte, error) {
	response, err := http.Get(m.url + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return body, err
}

func (m *machine) ReadConfig(file string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if file == "key" {
		return []byte(m.key), nil
	}
	return m.config[file], nil
}

func (m *machine) WriteConfig(file string, old, new []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.config[file], old) {
		return sumdb.ErrWriteConflict
	}
	m.config[file] = new
	return nil
}

func (m *machine) ReadCache(file string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data, ok := m.cache[file]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (m *machine) WriteCache(file string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cache[file] = data
}

func (m *machine) Log(string) {}

func (m *machine) SecurityError(message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.security = message
}
