/** The JSON schema of the config file, for editors: `schema.json` is its output. */
import { HEADER_NAME, HEADER_VALUE } from "./check-value.ts";
import { defaultOf, type Key, type List, type Rule, type Section, type TextFormat } from "./description.ts";
import { DURATION_PATTERN } from "./duration.ts";

type Schema = Readonly<Record<string, unknown>>;

const PATTERNS: Readonly<Partial<Record<TextFormat, string>>> = {
  url: "^(https?://.+)?$",
  prefix: "^(/[\\w.~-]+)+$",
  namespace: "^[-a-zA-Z0-9_.]{2,250}$",
  // A scheme of apps may be any but those that are meant to be `https`.
  origin: "^(\\*|[nN][uU][lL][lL]|(?!(?!https?:)[htps]+:)[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#@]*)$",
  "header name": HEADER_NAME.source,
};

/** The schema of a config file whose keys are those of a section. */
export function jsonSchema(root: Section): Schema {
  const { properties, ...rest } = sectionSchema(root);
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Config of switchboard serve",
    // Visual Studio Code reads these two.
    allowComments: true,
    allowTrailingCommas: true,
    ...rest,
    properties: { $schema: { type: "string", description: "Path or URL of this schema" }, ...(properties as Schema) },
  };
}

function sectionSchema({ about, keys }: Section): Schema {
  const properties = Object.entries(keys).map(([name, node]) => [name, nodeSchema(node)]);
  return {
    type: "object",
    description: about,
    additionalProperties: false,
    properties: Object.fromEntries(properties),
  };
}

function nodeSchema(node: Key | Section | List): Schema {
  if (node.kind === "section") return sectionSchema(node);
  if (node.kind === "key") return { description: node.about, default: defaultOf(node), ...ruleSchema(node.rule) };
  const items = { ...sectionSchema(node.item), required: ["name"] };
  return { description: node.about, default: [], type: "array", items };
}

function ruleSchema(rule: Rule): Schema {
  switch (rule.type) {
    case "boolean":
      return { type: "boolean" };
    case "integer":
      return { type: "integer", minimum: rule.least, maximum: rule.most };
    case "duration":
      return { type: "string", pattern: DURATION_PATTERN, examples: ["300ms", "25s", "5m", "1h"] };
    case "text": {
      const pattern = PATTERNS[rule.format];
      return pattern === undefined ? { type: "string" } : { type: "string", pattern };
    }
    case "choice":
      return { enum: rule.choices };
    case "texts":
      return {
        type: "array",
        items:
          rule.choices.length > 0
            ? { enum: rule.choices }
            : { ...ruleSchema({ type: "text", format: rule.format }), minLength: 1 },
      };
    case "headers":
      return {
        type: "object",
        propertyNames: { pattern: HEADER_NAME.source },
        additionalProperties: { type: "string", pattern: HEADER_VALUE.source },
      };
  }
}
