import { expect, test } from "vitest";
import { createFakeClock } from "../../test/support/fake-clock.ts";
import { createScriptedSource } from "../../test/support/scripted-source.ts";
import type { Clock, SourceCondition } from "../core/ports.ts";
import { type ChainGroup, createGroupOrder, type Link } from "./group-order.ts";

type State = SourceCondition["state"];

const mirrors: ChainGroup = { members: ["a", "b", "c"], balance: "order" };

/** `a|b|c,d`: names with the separator behind each. */
function linksOf(text: string, states: Readonly<Record<string, State>>): Link[] {
  return [...text.matchAll(/(\w+)([,|]?)/g)].map(([, name = "", separator]) => ({
    source: {
      ...createScriptedSource(),
      name,
      condition: () => ({ state: states[name] ?? "ok", firstByteMs: undefined }),
    },
    fallBackOnError: separator === "|",
  }));
}

function textOf(links: readonly Link[]): string {
  return links.map(({ source, fallBackOnError }) => source.name + (fallBackOnError ? "|" : ",")).join("");
}

function orders(
  text: string,
  {
    states = {},
    group = mirrors,
    count = 1,
    clock = createFakeClock(),
  }: {
    readonly states?: Readonly<Record<string, State>>;
    readonly group?: ChainGroup;
    readonly count?: number;
    readonly clock?: Pick<Clock, "now">;
  } = {},
): string[] {
  const inOrder = createGroupOrder(linksOf(text, states), [group], clock);
  return Array.from({ length: count }, () => textOf(inOrder()));
}

test.each<[string, string, Readonly<Record<string, State>>, string]>([
  ["all well: as written", "a|b|c|d,", {}, "a|b|c|d,"],
  ["who is flaky or slow comes later", "a|b|c|d,", { a: "degraded" }, "b|c|a|d,"],
  ["who is down comes last", "a|b|c|d,", { a: "down", b: "degraded" }, "c|b|a|d,"],
  ["all down: as written", "a|b|c,", { a: "down", b: "down", c: "down" }, "a|b|c,"],
  ["the separators stay where they are", "a|b,c,d,", { a: "down" }, "b|a,c,d,"],
  ["who is no member keeps its place", "d|a|b,", { d: "down", a: "down" }, "d|b|a,"],
  ["members that another one stands between", "a|d|b,", { a: "down" }, "a|d|b,"],
  ["a comma is the end: there the next one is asked for what is not there only", "a,b,", { a: "down" }, "a,b,"],
])("%s", (_, text, states, order) => {
  expect(orders(text, { states })).toEqual([order]);
});

test.each<[string, string, Readonly<Record<string, State>>, string]>([
  ["behind the members, in their order", "a|b|c|d,", {}, "a|b|c|d,"],
  ["also when no member is well", "a|b|c|d,", { a: "down", b: "down" }, "a|b|c|d,"],
  ["and change places among themselves only", "a|b|c|d,", { b: "degraded", c: "down" }, "a|b|d|c,"],
])("backups stay %s", (_, text, states, order) => {
  const group: ChainGroup = { members: ["a", "b"], backups: ["c", "d"], balance: "order" };
  expect(orders(text, { states, group })).toEqual([order]);
});

test("backups do not take turns", () => {
  const group: ChainGroup = { members: ["a", "b"], backups: ["c", "d"], balance: "spread" };
  expect(orders("a|b|c|d,", { group, count: 3 })).toEqual(["a|b|c|d,", "b|a|c|d,", "a|b|c|d,"]);
});

test("each in its turn, those that are well first", () => {
  const group: ChainGroup = { ...mirrors, balance: "spread" };
  expect(orders("a|b|c,", { group, count: 4 })).toEqual(["a|b|c,", "b|c|a,", "c|a|b,", "a|b|c,"]);
  expect(orders("a|b|c,", { group, count: 3, states: { b: "down" } })).toEqual(["a|c|b,", "c|a|b,", "c|a|b,"]);
});

test("who is not well is asked first once in a while, each in its turn, to see whether it is well again", () => {
  const clock = createFakeClock();
  const inOrder = createGroupOrder(linksOf("a|b|c,", { a: "down", b: "degraded" }), [mirrors], clock);
  const firsts: string[] = [];
  for (let second = 0; second < 40; second += 1) {
    clock.advance(1000);
    firsts.push(inOrder()[0]?.source.name ?? "");
  }
  expect(firsts.filter((name) => name !== "c")).toEqual(["b", "a", "b", "a"]);
});
