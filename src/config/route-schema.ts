import { z } from "zod";
import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

const missingPatterns = "is missing; write the modules that this is about, such as golang.org/x/*";

/** One `[[upstream.route]]`. */
export const routeSchema = section(
  "Modules that come from another chain. May be repeated; the first that matches counts, and before all of them the rules for private modules.",
  {
    patterns: setting(value.text({ missing: missingPatterns }).min(1, { error: missingPatterns }), {
      kind: "text",
      synonyms: ["pattern", "modules", "module", "match", "paths", "path"],
      doc: "Comma-separated patterns of module paths, in the grammar of `GOPRIVATE`.",
    }),
    chain: setting(value.text({ missing: "is missing; write the upstreams of these modules, or off" }), {
      kind: "text",
      hidden: true,
      synonyms: ["proxy", "goproxy", "upstreams", "upstream", "url"],
      doc: "The upstreams of these modules, as in `[upstream]`. One that stands in several chains is one: its connections, limits and health are shared.",
    }),
  },
);

const missingMembers = "is missing; write at least two upstreams, or one and its backups";
const notUpstreams = 'is not a list; write ["https://a.example.com", "https://b.example.com"]';

/** One `[[upstream.group]]`. */
export const groupSchema = section(
  "Upstreams that have the same content, such as mirrors. In a chain they stand side by side with `|` between them, and which is asked first depends on how they are: those that are well come before those that are slow or flaky, and those before what is down. When one that is asked is late, the next one that is well is asked as well (`hedge`), the first answer counts, and the other request is ended. What stands behind them in the chain is asked when all of them fail, and, if it is not among `backups`, when they do not have it. May be repeated.",
  {
    members: setting(
      z
        .array(value.text(), {
          error: ({ input }) => (input === undefined ? missingMembers : notUpstreams),
        })
        .min(1, { error: missingMembers }),
      {
        kind: "list",
        synonyms: ["upstreams", "urls", "entries", "servers"],
        doc: "Entries of the chain, without user names and passwords.",
      },
    ),
    backups: setting(z.array(value.text(), { error: notUpstreams }).default([]), {
      kind: "list",
      defaultDoc: "`[]`",
      synonyms: ["backup", "fallback", "secondary", "standby"],
      doc: "Entries of the chain that are asked only when no member answers, and not when a member that answers does not have it. In the chain they stand right behind the members, with `|` between all of them.",
    }),
    balance: setting(value.choice(["order", "spread"]).default("order"), {
      kind: "choice",
      defaultDoc: '`"order"`',
      synonyms: ["policy", "strategy", "mode", "lb"],
      doc: "Of those that are equally well, `order` asks the first in the chain first, `spread` each in its turn.",
    }),
  },
);

export type Group = z.infer<typeof groupSchema>;
