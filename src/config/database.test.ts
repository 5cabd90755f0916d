import { describe, expect, it } from "vitest";
import { load } from "../../test/support/config.ts";
import { printConfig } from "./print.ts";

const files = { "/srv/app/conf/url": "postgres://u:hunter2@db/x\n", "/srv/app/conf/password": "hunter2\n" };

describe("the database that several Sluices share", () => {
  it("is none where nothing names one", () => {
    expect(load({}).config.sharedDatabase).toBeUndefined();
  });

  it.each([
    ["postgres://db.example.com/sluice", "postgres://db.example.com/sluice"],
    ["postgresql://u:hunter2@db:5433/x?sslmode=verify-full", "postgres://db:5433/x"],
    ["postgres://u:h%2Funter2@a:5432,b:5433/x?target_session_attrs=read-write", "postgres://a:5432,b:5433/x"],
    ["postgres://u@[::1]:5432/x", "postgres://[::1]:5432/x"],
    ["postgres://u@%2Frun%2Fpostgresql/x", "postgres://%2Frun%2Fpostgresql/x"],
  ])("of the URL %s has a name without secrets", (url, name) => {
    const { sharedDatabase } = load({ env: { SLUICE_DATABASE_URL: url } }).config;
    expect(sharedDatabase).toMatchObject({ name, timeoutMs: 500, connections: 8 });
    expect(sharedDatabase?.url.reveal()).toBe(url);
  });

  it("has its URL and its password from files", () => {
    const { config } = load({ file: '[database]\nurl_file = "url"', files });
    expect(config.sharedDatabase?.url.reveal()).toBe("postgres://u:hunter2@db/x");
    const other = load({ file: '[database]\nurl = "postgres://u@db/x"\npassword_file = "password"', files });
    expect(other.config.sharedDatabase?.password?.reveal()).toBe("hunter2");
  });

  it("is printed without its password", () => {
    const loaded = load({
      file: '[database]\nurl = "postgres://u:hunter2@db/x?sslmode=require&options=hunter2"',
      files,
    });
    expect(printConfig(loaded)).toMatch(/^url += "postgres:\/\/u@db\/x\?sslmode=require"/m);
    expect(printConfig(loaded)).not.toContain("hunter2");
    expect(JSON.stringify(loaded.config)).not.toContain("hunter2");
  });
});
