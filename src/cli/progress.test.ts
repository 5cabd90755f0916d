import { Writable } from "node:stream";
import { expect, it } from "vitest";
import { startProgress } from "./progress.ts";

function collect(isTTY: boolean): { readonly stream: Writable & { isTTY: boolean }; readonly text: () => string } {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns: 80 }), text: () => chunks.join("") };
}

it("is a bar on a terminal, which is gone when the work is done", async () => {
  const { stream, text } = collect(true);
  const progress = await startProgress(stream, "records");
  progress.update(500, 1000);
  progress.stop();
  expect(text()).toContain("500 of 1000 records");
  expect(text().lastIndexOf("\u001B[0K")).toBeGreaterThan(text().lastIndexOf("500 of 1000 records"));
});

it("is a line now and then elsewhere, and none for what is soon done", async () => {
  const { stream, text } = collect(false);
  let now = 0;
  const progress = await startProgress(stream, "records", () => now);
  progress.update(10, 1000);
  now = 5000;
  progress.update(500, 1000);
  progress.update(501, 1000);
  now = 10_000;
  progress.update(900, 1000);
  progress.stop();
  expect(text()).toBe("500 of 1000 records\n900 of 1000 records\n");
});
