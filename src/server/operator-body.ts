import { SluiceError } from "../core/errors.ts";

interface Values {
  readonly text: string;
  readonly flag: boolean;
}

type Fields<Kinds extends Readonly<Record<string, keyof Values>>> = {
  readonly [Name in keyof Kinds]?: Values[Kinds[Name]] | undefined;
};

/** The fields of a JSON body. Fails with `bad_request` for what is no object, for other fields, and for values of another kind. */
export function fieldsOf<const Kinds extends Readonly<Record<string, keyof Values>>>(
  body: unknown,
  kinds: Kinds,
): Fields<Kinds> {
  const names = Object.keys(kinds);
  const known = names.length === 0 ? "there are none" : `the fields are ${names.join(", ")}`;
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw bad(`the body is no JSON object; ${known}`);
  for (const [name, value] of Object.entries(body)) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === undefined) throw bad(`there is no field ${JSON.stringify(name)}; ${known}`);
    if (kind === "flag" && typeof value !== "boolean") throw bad(`${name} is not a yes or no; write true or false`);
    if (kind === "text" && typeof value !== "string") throw bad(`${name} is not text; write it in quotes`);
  }
  return body;
}

function bad(problem: string): SluiceError {
  return new SluiceError("bad_request", problem);
}
