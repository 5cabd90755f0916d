// Command module answers questions about module paths and versions as golang.org/x/mod does. It reads one JSON request
// per line and writes one JSON answer per line, in the same order.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"
	"path"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

type request struct {
	Call string   `json:"call"`
	Args []string `json:"args"`
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
		if err := encoder.Encode(reply(asked)); err != nil {
			log.Fatal(err)
		}
	}
	if err := in.Err(); err != nil {
		log.Fatal(err)
	}
}

func reply(asked request) (given answer) {
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

func call(asked request) (any, error) {
	arg := func(i int) string { return asked.Args[i] }
	switch asked.Call {
	case "checkPath":
		return nil, module.CheckPath(arg(0))
	case "checkImportPath":
		return nil, module.CheckImportPath(arg(0))
	case "checkFilePath":
		return nil, module.CheckFilePath(arg(0))
	case "check":
		return nil, module.Check(arg(0), arg(1))
	case "checkPathMajor":
		return nil, module.CheckPathMajor(arg(0), arg(1))
	case "splitPathVersion":
		prefix, major, ok := module.SplitPathVersion(arg(0))
		return []any{prefix, major, ok}, nil
	case "pathMajorPrefix":
		return module.PathMajorPrefix(arg(0)), nil
	case "escapePath":
		return module.EscapePath(arg(0))
	case "escapeVersion":
		return module.EscapeVersion(arg(0))
	case "unescapePath":
		return module.UnescapePath(arg(0))
	case "unescapeVersion":
		return module.UnescapeVersion(arg(0))
	case "matchPrefixPatterns":
		return module.MatchPrefixPatterns(arg(0), arg(1)), nil
	case "pathMatch":
		return path.Match(arg(0), arg(1))
	case "canonicalVersion":
		return module.CanonicalVersion(arg(0)), nil
	case "semver":
		v := arg(0)
		return []any{
			semver.IsValid(v), semver.Canonical(v), semver.Major(v), semver.MajorMinor(v), semver.Prerelease(v), semver.Build(v),
		}, nil
	case "compare":
		return semver.Compare(arg(0), arg(1)), nil
	case "sort":
		semver.Sort(asked.Args)
		return asked.Args, nil
	case "isPseudoVersion":
		return module.IsPseudoVersion(arg(0)), nil
	case "pseudoVersion":
		at, err := time.Parse(time.RFC3339, arg(2))
		if err != nil {
			log.Fatal(err)
		}
		return module.PseudoVersion(arg(0), arg(1), at, arg(3)), nil
	case "pseudoVersionBase":
		return module.PseudoVersionBase(arg(0))
	case "pseudoVersionRev":
		return module.PseudoVersionRev(arg(0))
	case "pseudoVersionTime":
		at, err := module.PseudoVersionTime(arg(0))
		return at.Format(time.RFC3339), err
	}
	log.Fatalf("unknown call %q", asked.Call)
	return nil, nil
}
