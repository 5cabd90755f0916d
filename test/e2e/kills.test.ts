import { describe, expect, it } from "vitest";
import type { KillFigures } from "../chaos/kills/rig.ts";
import { type ModeReport, runKills } from "../chaos/kills/run-kills.ts";
import { lacks } from "../support/needs.ts";
import { lacksS3Server } from "../support/s3-programs.ts";
import { minio } from "../support/shared-parts.ts";

// The short form of `npm run chaos:kills`.
const short = { count: 3, seed: 4, fullCheckEvery: 10, isEnough: hasHit };
const lacksBucket = minio === undefined || lacksS3Server(minio);

describe.skipIf(lacks("go", ["version"]))(
  "a node that is killed in the middle of ingest, and started again on what is left",
  () => {
    it("with a disk has all that clients got, nothing that is wrong, and nothing to clean up", async () => {
      const { modes, problems } = await runKills({ ...short, modes: { disk: 1 } });
      expect(problems).toEqual([]);
      expectHits(modes);
    }, 300_000);

    it.skipIf(lacksBucket)(
      "with a bucket that is away now and then has it all in the bucket in the end",
      async () => {
        const { modes, problems } = await runKills({ ...short, modes: { bucket: 1 } });
        expect(problems).toEqual([]);
        expectHits(modes);
      },
      300_000,
    );
  },
);

/** Otherwise no kill hit a write, and this proved nothing. */
function hasHit({ stagingFilesLeft, acknowledged }: KillFigures): boolean {
  return stagingFilesLeft > 0 && acknowledged > 0;
}

function expectHits([figures]: readonly ModeReport[]): void {
  expect(figures?.kills).toBeGreaterThanOrEqual(short.count);
  expect(figures).toSatisfy(hasHit);
}
