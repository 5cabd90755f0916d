// Command modfile reads go.mod files as golang.org/x/mod/modfile does, and answers of proxies as the go command does. It
// reads one JSON request per line and writes one JSON answer per line, in the same order.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

type request struct {
	Call string `json:"call"`
	Data []byte `json:"data"`
}

type answer struct {
	Value any    `json:"value"`
	Error string `json:"error,omitempty"`
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
		given := answer{}
		value, err := call(asked)
		if err != nil {
			given.Error = err.Error()
		} else {
			given.Value = value
		}
		if err := encoder.Encode(given); err != nil {
			log.Fatal(err)
		}
	}
	if err := in.Err(); err != nil {
		log.Fatal(err)
	}
}

func call(asked request) (any, error) {
	switch asked.Call {
	case "modulePath":
		return modfile.ModulePath(asked.Data), nil
	case "strict":
		file, err := modfile.Parse("go.mod", asked.Data, nil)
		if err != nil {
			return nil, err
		}
		return factsOf(file), nil
	case "lax":
		file, err := modfile.ParseLax("go.mod", asked.Data, nil)
		if err != nil {
			return nil, err
		}
		return factsOf(file), nil
	case "info":
		return info(asked.Data)
	case "list":
		return list(string(asked.Data)), nil
	}
	log.Fatalf("unknown call %q", asked.Call)
	return nil, nil
}

// facts has no field for what a file does not say.
type facts struct {
	Module     *string   `json:"module,omitempty"`
	Deprecated string    `json:"deprecated,omitempty"`
	Go         string    `json:"go,omitempty"`
	Toolchain  string    `json:"toolchain,omitempty"`
	Requires   []require `json:"requires"`
	Retracts   []retract `json:"retracts"`
	Ignores    []string  `json:"ignores"`
	Excludes   []exclude `json:"excludes"`
	Replaces   []replace `json:"replaces"`
	Tools      []string  `json:"tools"`
	Godebugs   []godebug `json:"godebugs"`
}

type require struct {
	Path     string `json:"path"`
	Version  string `json:"version"`
	Indirect bool   `json:"indirect"`
}

type exclude struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

type replace struct {
	OldPath    string `json:"oldPath"`
	OldVersion string `json:"oldVersion,omitempty"`
	NewPath    string `json:"newPath"`
	NewVersion string `json:"newVersion,omitempty"`
}

type retract struct {
	Low       string `json:"low"`
	High      string `json:"high"`
	Rationale string `json:"rationale"`
}

type godebug struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func factsOf(file *modfile.File) facts {
	found := facts{
		Requires: []require{}, Retracts: []retract{}, Ignores: []string{}, Excludes: []exclude{},
		Replaces: []replace{}, Tools: []string{}, Godebugs: []godebug{},
	}
	if file.Module != nil {
		found.Module = &file.Module.Mod.Path
		found.Deprecated = file.Module.Deprecated
	}
	if file.Go != nil {
		found.Go = file.Go.Version
	}
	if file.Toolchain != nil {
		found.Toolchain = file.Toolchain.Name
	}
	for _, r := range file.Require {
		found.Requires = append(found.Requires, require{r.Mod.Path, r.Mod.Version, r.Indirect})
	}
	for _, r := range file.Retract {
		found.Retracts = append(found.Retracts, retract{r.Low, r.High, r.Rationale})
	}
	for _, i := range file.Ignore {
		found.Ignores = append(found.Ignores, i.Path)
	}
	for _, e := range file.Exclude {
		found.Excludes = append(found.Excludes, exclude{e.Mod.Path, e.Mod.Version})
	}
	for _, r := range file.Replace {
		found.Replaces = append(found.Replaces, replace{r.Old.Path, r.Old.Version, r.New.Path, r.New.Version})
	}
	for _, t := range file.Tool {
		found.Tools = append(found.Tools, t.Path)
	}
	for _, g := range file.Godebug {
		found.Godebugs = append(found.Godebugs, godebug{g.Key, g.Value})
	}
	return found
}

type origin struct {
	VCS       string `json:",omitempty"`
	URL       string `json:",omitempty"`
	Subdir    string `json:",omitempty"`
	Hash      string `json:",omitempty"`
	TagPrefix string `json:",omitempty"`
	TagSum    string `json:",omitempty"`
	Ref       string `json:",omitempty"`
	RepoSum   string `json:",omitempty"`
}

// info decodes a .info into the fields that the go command has for it, and encodes it as it would.
func info(data []byte) (any, error) {
	var decoded struct {
		Version string
		Time    time.Time
		Name    string  `json:"-"`
		Short   string  `json:"-"`
		Origin  *origin `json:",omitempty"`
	}
	if err := json.Unmarshal(data, &decoded); err != nil {
		return nil, err
	}
	decoded.Time = decoded.Time.UTC()
	encoded, err := json.Marshal(decoded)
	return map[string]any{"version": decoded.Version, "text": string(encoded)}, err
}

// list goes through a version list as the go command does, and leaves out versions that it could not ask for.
func list(text string) any {
	versions := []string{}
	newest, newestTime := "", time.Time{}
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || !semver.IsValid(words[0]) || words[0] != module.CanonicalVersion(words[0]) {
			continue
		}
		version, at := words[0], time.Time{}
		if !module.IsPseudoVersion(version) {
			versions = append(versions, version)
		}
		if len(words) > 1 {
			at, _ = time.Parse(time.RFC3339, words[1])
		} else if module.IsPseudoVersion(version) {
			at, _ = module.PseudoVersionTime(version)
		}
		if newestTime.Before(at) {
			newest, newestTime = version, at
		}
	}
	semver.Sort(versions)
	return map[string]any{"versions": versions, "newest": newest}
}
