/** The config file that `switchboard config init` writes. */
import type { Key, List, Section } from "./description.ts";
import { SERVER_KEYS } from "./keys/server-keys.ts";
import { makeSecret } from "./load.ts";

/** A value for a key, or keys of a section. The comments come from the description of the keys. */
type Content = { readonly [name: string]: Content | string | number | boolean | readonly unknown[] };

/**
 * Text of a config file with new secrets: JSON with a comment above each key. `schema` is the path of the JSON schema.
 */
export function freshFile(schema: string): string {
  const content: Content = {
    http_server: { port: 8000 },
    client: { token: { hmac_secret_key: makeSecret() }, allowed_origins: ["http://localhost:3000"] },
    http_api: { key: makeSecret() },
    channel: {
      without_namespace: {
        allow_subscribe_for_client: true,
        presence: true,
        history_size: 100,
        history_ttl: "5m",
        force_recovery: true,
      },
    },
    engine: { type: "memory" },
    log: { level: "info" },
  };
  const schemaLine = `  "$schema": ${JSON.stringify(schema)},\n`;
  return `// Config of \`switchboard serve\`. \`switchboard config check\` checks it. Keep it to yourself: it holds secrets.\n{\n${schemaLine}${lines(content, SERVER_KEYS, "  ")}}\n`;
}

function lines(content: Content, { keys }: Section, indent: string): string {
  const parts = Object.entries(content).map(([name, value]) => {
    const node = keys[name] as Key | Section | List;
    const comment = node.kind === "section" ? "" : `${indent}// ${node.about}.\n`;
    const inside = node.kind === "section" ? `{\n${lines(value as Content, node, `${indent}  `)}${indent}}` : undefined;
    return `${comment}${indent}${JSON.stringify(name)}: ${inside ?? JSON.stringify(value)}`;
  });
  return `${parts.join(",\n")}\n`;
}
