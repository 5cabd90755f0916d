import { expect, test } from "vitest";
import { canNeverBeModule } from "./index.ts";

test.each([
  "github.com",
  "github.com/user",
  "bitbucket.org",
  "bitbucket.org/x",
  "gitlab.com",
  "gitlab.com/group",
  "golang.org",
  "golang.org/x",
  "gopkg.in",
  "rsc.io",
])("%s can never be a module", (path) => {
  expect(canNeverBeModule(path)).toBe(true);
});

test.each([
  "",
  "github.com/user/repo",
  "github.com/user/v2",
  "gitlab.com/group/project",
  "golang.org/x/mod",
  "golang.org/toolchain",
  "gopkg.in/yaml.v3",
  "rsc.io/quote",
  "k8s.io",
  "example.com",
  "git.example.com/user",
  "github.community",
  "github.com.example.com/x",
])("%s may be one", (path) => {
  expect(canNeverBeModule(path)).toBe(false);
});
