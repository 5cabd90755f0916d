// Command markup answers which tags Go's encoding/xml sees in a page in its lax mode. It reads one base64 page per line,
// as a JSON string, and writes one JSON answer per line, in the same order.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
)

type tag struct {
	Kind       string      `json:"kind"`
	Name       string      `json:"name"`
	Attributes [][2]string `json:"attributes"`
}

type answer struct {
	Tags    []tag  `json:"tags"`
	Problem string `json:"problem"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for in.Scan() {
		var page []byte
		if err := json.Unmarshal(in.Bytes(), &page); err != nil {
			log.Fatalf("request %q: %v", in.Text(), err)
		}
		if err := encoder.Encode(read(page)); err != nil {
			log.Fatal(err)
		}
	}
	if err := in.Err(); err != nil {
		log.Fatal(err)
	}
}

func read(page []byte) answer {
	decoder := xml.NewDecoder(bytes.NewReader(page))
	decoder.Strict = false
	decoder.CharsetReader = func(charset string, input io.Reader) (io.Reader, error) {
		if name := strings.ToLower(charset); name == "utf-8" || name == "ascii" {
			return input, nil
		}
		return nil, fmt.Errorf("can't decode XML document using charset %q", charset)
	}
	given := answer{Tags: []tag{}}
	for {
		token, err := decoder.RawToken()
		if err == io.EOF {
			return given
		}
		if err != nil {
			given.Problem = err.Error()
			return given
		}
		switch token := token.(type) {
		case xml.StartElement:
			attributes := [][2]string{}
			for _, attribute := range token.Attr {
				attributes = append(attributes, [2]string{attribute.Name.Local, attribute.Value})
			}
			given.Tags = append(given.Tags, tag{"open", token.Name.Local, attributes})
		case xml.EndElement:
			given.Tags = append(given.Tags, tag{"close", token.Name.Local, [][2]string{}})
		}
	}
}
