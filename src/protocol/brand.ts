declare const brand: unique symbol;

/** A string that went through the one parser that may make it. */
export type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A module path that passed CheckPath (SPEC §2.2), such as `github.com/Azure/go-autorest`. Made by `parseModulePath`. */
export type ModulePath = Branded<"ModulePath">;

/** A module path with `A` written `!a` (SPEC §2.4), as it stands in URLs and on disk. Made by `escapePath`. */
export type EscapedPath = Branded<"EscapedPath">;

/** A canonical semantic version, possibly `+incompatible` or a pseudo-version (SPEC §3.1). Made by `parseVersion`. */
export type Version = Branded<"Version">;

/** `h1:` and 44 characters of base64: a dirhash of a zip or a go.mod (SPEC §5.6). Made by `parseH1` and the hashers. */
export type H1 = Branded<"H1">;
