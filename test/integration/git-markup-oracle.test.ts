import { describe, expect, test } from "vitest";
import { z } from "zod";
import { MarkupError, readTags, type Tag } from "../../src/sources/git/discovery/markup.ts";
import { mutate } from "../fuzz/mutate.ts";
import * as metaTags from "../fuzz/meta-tags.fuzz.ts";
import { askOracle, lacksOracles } from "../support/go-oracle.ts";
import { createRandom } from "../support/random.ts";

const seed = Number(process.env["SLUICE_TEST_SEED"] ?? "20060102");
const pageCount = 20_000;

const readingShape = z.object({
  tags: z.array(
    z.object({
      kind: z.enum(["open", "close"]),
      name: z.string(),
      attributes: z.array(z.tuple([z.string(), z.string()])),
    }),
  ),
  problem: z.string(),
});

interface Reading {
  readonly tags: readonly Tag[];
  readonly problem: string;
}

describe.skipIf(lacksOracles())("pages are read as Go's encoding/xml reads them", () => {
  test(`${pageCount} pages with broken markup (SLUICE_TEST_SEED=${seed})`, () => {
    const random = createRandom(seed);
    const dictionary = metaTags.dictionary.map((word) => Buffer.from(word));
    const source = { corpus: metaTags.seeds, dictionary, maxBytes: 2000 };
    const pages = Array.from({ length: pageCount }, () => mutate(random, source));
    const answers = askOracle(
      "markup",
      pages.map((page) => Buffer.from(page).toString("base64")),
    );
    const problems = new Set<string>();
    for (const [index, page] of pages.entries()) {
      const reading = read(page);
      const answer = readingShape.parse(answers[index]);
      if (isOddName(reading) || isOddName(answer)) continue;
      problems.add(reading.problem.replace(/\d+/, ""));
      const text = Buffer.from(page).toString("latin1");
      expect({ page: text, ...comparable(reading) }).toEqual({ page: text, ...comparable(answer) });
    }
    // Otherwise the pages were all alike.
    expect(problems.size).toBeGreaterThan(15);
  });
});

/** XML knows the letters of 1998 only; what else counts as one makes no difference for HTML. */
function isOddName({ problem }: Reading): boolean {
  return /invalid XML name: .*[^\x20-\x7e]/s.test(problem);
}

/** How a message shows bytes that are no UTF-8 is not the point. */
function comparable({ tags, problem }: Reading): Reading {
  return { tags, problem: problem.replaceAll(/\u{fffd}+/gu, "?").replace(/^(xml: \w+ \w+ )".*"/s, '$1"…"') };
}

function read(page: Uint8Array): Reading {
  const tags: Tag[] = [];
  try {
    for (const tag of readTags(page)) tags.push(tag);
    return { tags, problem: "" };
  } catch (error) {
    if (error instanceof MarkupError) return { tags, problem: error.message };
    throw error;
  }
}
