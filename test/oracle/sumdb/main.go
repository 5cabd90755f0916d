// Command sumdb answers questions about checksum databases as golang.org/x/mod does. It reads one JSON request per line and
// writes one JSON answer per line, in the same order.
package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type request struct {
	Call  string   `json:"call"`
	Text  string   `json:"text"`
	Bytes []byte   `json:"bytes"`
	Keys  []string `json:"keys"`
	// Numbers of the call, such as a level and an index.
	N       []int64   `json:"n"`
	Log     sparseLog `json:"log"`
	Indexes []int64   `json:"indexes"`
	Proof   [][]byte  `json:"proof"`
	Hash    []byte    `json:"hash"`
	OldHash []byte    `json:"oldHash"`
	Tamper  tampering `json:"tamper"`
}

// answer carries either a result or the text of an error. Panic is set where x/mod panics.
type answer struct {
	Value any    `json:"value"`
	Error string `json:"error,omitempty"`
	Panic bool   `json:"panic,omitempty"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for in.Scan() {
		var asked request
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			log.Fatalf("request %q: %v", in.Text(), err)
		}
		if err := encoder.Encode(reply(&asked)); err != nil {
			log.Fatal(err)
		}
	}
	if err := in.Err(); err != nil {
		log.Fatal(err)
	}
}

func reply(asked *request) (given answer) {
	defer func() {
		if recover() != nil {
			given = answer{Panic: true}
		}
	}()
	value, err := call(asked)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Value: value}
}

func call(asked *request) (any, error) {
	n := func(i int) int64 { return asked.N[i] }
	switch asked.Call {
	case "verifierKey":
		key, err := note.NewVerifier(asked.Text)
		if err != nil {
			return nil, err
		}
		return []any{key.Name(), key.KeyHash()}, nil
	case "signerKey":
		key, err := note.NewSigner(asked.Text)
		if err != nil {
			return nil, err
		}
		return []any{key.Name(), key.KeyHash()}, nil
	case "generateKey":
		return generateKey(asked.Text, asked.Bytes)
	case "openNote":
		return openNote(asked.Bytes, asked.Keys)
	case "signNote":
		return signNote(asked.Text, asked.Keys)
	case "formatTree":
		return string(tlog.FormatTree(tlog.Tree{N: n(0), Hash: tlog.Hash(asked.Hash)})), nil
	case "parseTree":
		tree, err := tlog.ParseTree([]byte(asked.Text))
		if err != nil {
			return nil, err
		}
		return []any{tree.N, tree.Hash}, nil
	case "formatLookup":
		record, err := tlog.FormatRecord(n(0), []byte(asked.Text))
		if err != nil {
			return nil, err
		}
		return append(record, asked.Bytes...), nil
	case "parseLookup":
		id, text, rest, err := tlog.ParseRecord(asked.Bytes)
		if err != nil {
			return nil, err
		}
		return []any{id, string(text), rest}, nil
	case "recordHash":
		return tlog.RecordHash([]byte(asked.Text)), nil
	case "storedHashIndex":
		return tlog.StoredHashIndex(int(n(0)), n(1)), nil
	case "splitStoredHashIndex":
		level, index := tlog.SplitStoredHashIndex(n(0))
		return []any{level, index}, nil
	case "storedHashCount":
		return tlog.StoredHashCount(n(0)), nil
	case "storedHashes":
		return tlog.StoredHashes(n(0), asked.Log.record(n(0)), &asked.Log)
	case "treeHash":
		return tlog.TreeHash(n(0), &asked.Log)
	case "proveRecord":
		return tlog.ProveRecord(n(0), n(1), &asked.Log)
	case "checkRecord":
		proof := hashes(asked.Proof)
		return nil, tlog.CheckRecord(proof, n(0), tlog.Hash(asked.Hash), n(1), tlog.Hash(asked.OldHash))
	case "proveTree":
		return tlog.ProveTree(n(0), n(1), &asked.Log)
	case "checkTree":
		proof := hashes(asked.Proof)
		return nil, tlog.CheckTree(proof, n(0), tlog.Hash(asked.Hash), n(1), tlog.Hash(asked.OldHash))
	case "tileForIndex":
		return coordinates(tlog.TileForIndex(int(n(0)), n(1))), nil
	case "newTiles":
		tiles := [][]int64{}
		for _, tile := range tlog.NewTiles(int(n(0)), n(1), n(2)) {
			tiles = append(tiles, coordinates(tile))
		}
		return tiles, nil
	case "tilePath":
		return tlog.Tile{H: int(n(0)), L: int(n(1)), N: n(2), W: int(n(3))}.Path(), nil
	case "parseTilePath":
		tile, err := tlog.ParseTilePath(asked.Text)
		if err != nil {
			return nil, err
		}
		return coordinates(tile), nil
	case "readTile":
		return tlog.ReadTileData(tlog.Tile{H: int(n(0)), L: int(n(1)), N: n(2), W: int(n(3))}, &asked.Log)
	case "readHashes":
		return readHashes(asked)
	case "serve":
		return serve(asked.Text)
	}
	log.Fatalf("unknown call %q", asked.Call)
	return nil, nil
}

// generateKey makes the keys of a seed. note.GenerateKey would draw its own.
func generateKey(name string, seed []byte) (any, error) {
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	verifierKey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return nil, err
	}
	secret := base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	signerKey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, verifier.KeyHash(), secret)
	if _, err := note.NewSigner(signerKey); err != nil {
		return nil, err
	}
	return []string{signerKey, verifierKey}, nil
}

func openNote(message []byte, keys []string) (any, error) {
	var known []note.Verifier
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return nil, err
		}
		known = append(known, verifier)
	}
	opened, err := note.Open(message, note.VerifierList(known...))
	if err != nil {
		return nil, err
	}
	signed := []string{}
	for _, signature := range opened.Sigs {
		signed = append(signed, fmt.Sprintf("%s+%08x", signature.Name, signature.Hash))
	}
	return []any{opened.Text, signed}, nil
}

func signNote(text string, keys []string) (any, error) {
	var signers []note.Signer
	for _, key := range keys {
		signer, err := note.NewSigner(key)
		if err != nil {
			return nil, err
		}
		signers = append(signers, signer)
	}
	return note.Sign(&note.Note{Text: text}, signers...)
}

func hashes(list [][]byte) []tlog.Hash {
	converted := []tlog.Hash{}
	for _, hash := range list {
		converted = append(converted, tlog.Hash(hash))
	}
	return converted
}

func coordinates(tile tlog.Tile) []int64 {
	return []int64{int64(tile.H), int64(tile.L), tile.N, int64(tile.W)}
}

// readHashes proves hashes of a tree by its tiles, one of which may be wrong.
func readHashes(asked *request) (any, error) {
	reader := &tiles{height: int(asked.N[0]), log: &asked.Log, tamper: asked.Tamper}
	tree := tlog.Tree{N: asked.N[1], Hash: tlog.Hash(asked.Hash)}
	found, err := tlog.TileHashReader(tree, reader).ReadHashes(asked.Indexes)
	if err != nil {
		return nil, err
	}
	return []any{reader.asked, found}, nil
}

// serve tells what the server makes of a path: the operation that it asks of its log, or the status of its refusal.
func serve(path string) (any, error) {
	ops := &recordedOps{}
	recorder := httptest.NewRecorder()
	sumdb.NewServer(ops).ServeHTTP(recorder, &http.Request{Method: "GET", URL: &url.URL{Path: path}})
	if ops.asked == nil {
		return nil, fmt.Errorf("status %d", recorder.Code)
	}
	return ops.asked, nil
}

// recordedOps remembers the first thing that it is asked, and has nothing.
type recordedOps struct{ asked []any }

func (ops *recordedOps) first(asked ...any) error {
	if ops.asked == nil {
		ops.asked = asked
	}
	return os.ErrNotExist
}

func (ops *recordedOps) Signed(context.Context) ([]byte, error) {
	return nil, ops.first("latest")
}

func (ops *recordedOps) ReadRecords(_ context.Context, id, n int64) ([][]byte, error) {
	return nil, ops.first("records", id, n)
}

func (ops *recordedOps) Lookup(_ context.Context, version module.Version) (int64, error) {
	return 0, ops.first("lookup", version.Path, version.Version)
}

func (ops *recordedOps) ReadTileData(_ context.Context, tile tlog.Tile) ([]byte, error) {
	return nil, ops.first("tile", coordinates(tile))
}
