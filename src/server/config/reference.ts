/** The tables of all keys in the guide `src/guides/config.md`. */
import { defaultOf, type Key, type List, type Rule, type Section, variableOf } from "./description.ts";

const HEAD = "| key | type | default | environment variable | meaning |\n| --- | --- | --- | --- | --- |\n";

/** Markdown: a heading and a table for each section at the top of the file, and a table for the keys beside them. */
export function referenceTables(root: Section): string {
  const sections = Object.entries(root.keys).filter(([, node]) => node.kind === "section");
  const alone = Object.entries(root.keys).filter(([, node]) => node.kind !== "section");
  const parts = sections.map(([name, node]) => `### ${name}\n\n${about(node)}\n\n${HEAD}${rows(name, node).join("")}`);
  parts.push(`### Other keys\n\n${HEAD}${alone.flatMap(([name, node]) => rows(name, node)).join("")}`);
  return parts.join("\n");
}

function about(node: Key | Section | List): string {
  return `${node.about}.`;
}

function rows(path: string, node: Key | Section | List, inList = false): string[] {
  const variable = inList ? "" : `\`${variableOf(path)}\``;
  if (node.kind === "key") {
    const cells = [`\`${path}\``, typeOf(node.rule), `\`${JSON.stringify(defaultOf(node))}\``, variable, about(node)];
    return [row(cells)];
  }
  if (node.kind === "section") return rowsOf(path, node, inList);
  return [
    row([`\`${path}\``, "list of objects", "`[]`", variable, about(node)]),
    ...rowsOf(`${path}[]`, node.item, true),
  ];
}

function rowsOf(path: string, { keys }: Section, inList: boolean): string[] {
  return Object.entries(keys).flatMap(([name, node]) => rows(`${path}.${name}`, node, inList));
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`.replaceAll("|  |", "| |");
}

function typeOf(rule: Rule): string {
  switch (rule.type) {
    case "boolean":
      return "true or false";
    case "integer":
      return rule.most === Number.MAX_SAFE_INTEGER
        ? `number, ${rule.least} or more`
        : `number, ${rule.least} to ${rule.most}`;
    case "choice":
      return rule.choices.map((text) => `\`"${text}"\``).join(", ");
    case "texts":
      return rule.choices.length > 0
        ? `list of ${rule.choices.map((text) => `\`"${text}"\``).join(", ")}`
        : "list of text";
    case "headers":
      return "object of text";
    default:
      return rule.type;
  }
}
