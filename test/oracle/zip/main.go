// Command zip answers what golang.org/x/mod/zip and sumdb/dirhash make of source trees and module zips. It reads one JSON
// request per line and writes one JSON answer per line, in the same order.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"os"
	"path"
	"path/filepath"
	"time"
	"unicode"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

type request struct {
	Call       string       `json:"call"`
	ModulePath string       `json:"modulePath"`
	Version    string       `json:"version"`
	Files      []sourceFile `json:"files"`
	Zip        []byte       `json:"zip"`
}

type sourceFile struct {
	Where   string `json:"path"`
	Kind    string `json:"kind"`
	Content []byte `json:"content"`
}

type problem struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// created is the answer to "create": what CheckFiles says and what Create makes.
type created struct {
	Valid       []string  `json:"valid"`
	Omitted     []problem `json:"omitted"`
	Invalid     []problem `json:"invalid"`
	SizeProblem string    `json:"sizeProblem"`
	Error       string    `json:"error"`
	Zip         []byte    `json:"zip"`
	H1          string    `json:"h1"`
}

// received is the answer to "read": what a client makes of a zip. H1 is empty when it refuses the zip. DirH1 is the hash of
// the unpacked folder, which `go mod verify` compares.
type received struct {
	Error string `json:"error"`
	H1    string `json:"h1"`
	DirH1 string `json:"dirH1"`
}

// folds is the answer to "folds": for every letter the smallest code point that folds with it, where that is another one.
type folds struct {
	Unicode string    `json:"unicode"`
	Letters [][2]rune `json:"letters"`
	Folds   [][2]rune `json:"folds"`
}

func main() {
	folder, err := os.MkdirTemp("", "zip-oracle-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	in := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		var asked request
		if err == nil {
			err = json.Unmarshal(line, &asked)
		}
		if err != nil {
			log.Fatal(err)
		}
		if err := encoder.Encode(reply(asked, folder)); err != nil {
			log.Fatal(err)
		}
	}
}

func reply(asked request, folder string) any {
	m := module.Version{Path: asked.ModulePath, Version: asked.Version}
	switch asked.Call {
	case "create":
		return create(m, asked.Files, folder)
	case "read":
		return read(m, asked.Zip, folder)
	case "folds":
		return allFolds()
	}
	log.Fatalf("unknown call %q", asked.Call)
	return nil
}

func create(m module.Version, sources []sourceFile, folder string) created {
	files := make([]zip.File, 0, len(sources))
	for _, source := range sources {
		files = append(files, source)
	}
	answer := created{}
	checked, _ := zip.CheckFiles(files)
	answer.Valid = append([]string{}, checked.Valid...)
	answer.Omitted = problems(checked.Omitted)
	answer.Invalid = problems(checked.Invalid)
	if checked.SizeError != nil {
		answer.SizeProblem = checked.SizeError.Error()
	}
	var made bytes.Buffer
	if err := zip.Create(&made, m, files); err != nil {
		answer.Error = err.Error()
		return answer
	}
	answer.Zip = made.Bytes()
	h1, err := dirhash.HashZip(write(folder, made.Bytes()), dirhash.Hash1)
	if err != nil {
		log.Fatal(err)
	}
	answer.H1 = h1
	return answer
}

func read(m module.Version, content []byte, folder string) received {
	file := write(folder, content)
	if _, err := zip.CheckZip(m, file); err != nil {
		return received{Error: err.Error()}
	}
	h1, err := dirhash.HashZip(file, dirhash.Hash1)
	if err != nil {
		return received{Error: err.Error()}
	}
	unpacked := filepath.Join(folder, "unpacked")
	defer os.RemoveAll(unpacked)
	if err := zip.Unzip(unpacked, m, file); err != nil {
		return received{Error: err.Error()}
	}
	dirH1, err := dirhash.HashDir(unpacked, m.Path+"@"+m.Version, dirhash.Hash1)
	if err != nil {
		log.Fatal(err)
	}
	return received{H1: h1, DirH1: dirH1}
}

func write(folder string, content []byte) string {
	file := filepath.Join(folder, "m.zip")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		log.Fatal(err)
	}
	return file
}

func problems(list []zip.FileError) []problem {
	answer := make([]problem, 0, len(list))
	for _, one := range list {
		answer = append(answer, problem{one.Path, one.Err.Error()})
	}
	return answer
}

func allFolds() folds {
	answer := folds{Unicode: unicode.Version}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.IsLetter(r) {
			continue
		}
		if last := len(answer.Letters) - 1; last >= 0 && answer.Letters[last][1] == r-1 {
			answer.Letters[last][1] = r
		} else {
			answer.Letters = append(answer.Letters, [2]rune{r, r})
		}
		smallest := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			smallest = min(smallest, other)
		}
		if smallest != r {
			answer.Folds = append(answer.Folds, [2]rune{r, smallest})
		}
	}
	return answer
}

// A sourceFile is a zip.File and its own fs.FileInfo.

func (f sourceFile) Path() string                { return f.Where }
func (f sourceFile) Lstat() (fs.FileInfo, error) { return f, nil }
func (f sourceFile) Open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(f.Content)), nil
}

var modes = map[string]fs.FileMode{
	"file":      0o644,
	"symlink":   fs.ModeSymlink | 0o777,
	"directory": fs.ModeDir | 0o755,
	"irregular": fs.ModeNamedPipe | 0o644,
}

func (f sourceFile) Name() string       { return path.Base(f.Where) }
func (f sourceFile) Size() int64        { return int64(len(f.Content)) }
func (f sourceFile) Mode() fs.FileMode  { return modes[f.Kind] }
func (f sourceFile) ModTime() time.Time { return time.Time{} }
func (f sourceFile) IsDir() bool        { return f.Mode().IsDir() }
func (f sourceFile) Sys() any           { return nil }
