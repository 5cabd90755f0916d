import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Repositories that the go command's own tests are about. They are made from the scripts that come with the toolchain, which have
 * fixed dates, so that their commits have the hashes that the tests of go name.
 */
export interface VcsTests {
  /** Runs the script of `name`, such as `odd-tags`, in the new folder `dir`; answers the repository in it. */
  build(name: string, dir: string): string;
}

/** Undefined when this machine's toolchain came without them. */
export function findVcsTests(): VcsTests | undefined {
  const { stdout } = spawnSync("go", ["env", "GOROOT"], { encoding: "utf8" });
  const scripts = join((stdout ?? "").trim(), "src/cmd/go/testdata/vcstest/git");
  if (stdout === null || !existsSync(join(scripts, "vgotest1.txt"))) return undefined;
  return {
    build(name, dir) {
      const text = readFileSync(join(scripts, `${name}.txt`), "utf8");
      mkdirSync(dir, { recursive: true });
      const run = new ScriptRun(dir);
      const [script, ...files] = text.split(/^(?=-- .* --$)/m);
      for (const file of files) {
        const [, path, content] = /^-- (.*) --\n(.*)$/s.exec(file) ?? [];
        if (path !== undefined && content !== undefined) run.write(path, content);
      }
      for (const line of (script ?? "").split("\n")) run.line(line);
      return join(dir, ".git");
    },
  };
}

/** The part of go's script language that these scripts use. */
class ScriptRun {
  readonly #dir: string;
  readonly #env: Record<string, string>;
  #stdout = "";

  constructor(dir: string) {
    this.#dir = dir;
    this.#env = {
      PATH: process.env["PATH"] ?? "",
      HOME: dir,
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CEILING_DIRECTORIES: dirname(dir),
    };
  }

  write(path: string, content: string): void {
    mkdirSync(dirname(join(this.#dir, path)), { recursive: true });
    writeFileSync(join(this.#dir, path), content);
  }

  line(text: string): void {
    const [command, ...args] = this.#words(text);
    if (command === undefined || text.startsWith("#") || text.startsWith("[")) return;
    const [first = "", second = ""] = args;
    switch (command) {
      case "handle":
        return;
      case "env":
        for (const assignment of args) {
          const equals = assignment.indexOf("=");
          this.#env[assignment.slice(0, equals)] = assignment.slice(equals + 1);
        }
        return;
      case "at":
        this.#env["GIT_COMMITTER_DATE"] = first;
        this.#env["GIT_AUTHOR_DATE"] = first;
        return;
      case "echo":
        this.#stdout = `${args.join(" ")}\n`;
        return;
      case "unquote":
        this.#stdout = first.replaceAll(/\\(.)/g, (_, char: string) =>
          char === "n" ? "\n" : char === "t" ? "\t" : char,
        );
        return;
      case "mkdir":
        for (const path of args) mkdirSync(join(this.#dir, path), { recursive: true });
        return;
      case "cp":
        for (const source of args.slice(0, -1)) {
          const target = args.at(-1) ?? "";
          this.write(target, source === "stdout" ? this.#stdout : readFileSync(join(this.#dir, source), "utf8"));
        }
        return;
      case "cmp":
        if (this.#stdout !== readFileSync(join(this.#dir, second), "utf8")) {
          throw new Error(`the repository has other refs than go's own tests expect:\n${this.#stdout}`);
        }
        return;
      case "git":
        this.#git(args);
        return;
      default:
        throw new Error(`a script has the command ${command}, which this runner does not know`);
    }
  }

  #git(args: readonly string[]): void {
    const input = args[0] === "am" ? "" : undefined;
    const result = spawnSync("git", args, { cwd: this.#dir, env: this.#env, encoding: "utf8", input });
    if (result.status !== 0) throw new Error(`git ${args.join(" ")}: ${result.stderr}`);
    this.#stdout = result.stdout;
  }

  /** Words are separated by blanks; within `'…'` nothing means anything, `''` there is a quote; `$NAME` elsewhere is a variable. */
  #words(text: string): string[] {
    const words: string[] = [];
    for (const [word] of text.matchAll(/(?:'(?:[^']|'')*'|[^\s'])+/g)) {
      if (word.startsWith("#")) break;
      const parts = word.matchAll(/'((?:[^']|'')*)'|([^']+)/g);
      words.push(
        [...parts]
          .map(([, quoted, plain]) =>
            quoted === undefined
              ? (plain ?? "").replaceAll(/\$(\w+)/g, (_, name: string) => this.#env[name] ?? "")
              : quoted.replaceAll("''", "'"),
          )
          .join(""),
      );
    }
    return words;
  }
}
