/** The types by which users name the details of events, options, and the arguments and results of calls. */
import { readFileSync } from "node:fs";
import ts from "typescript";
import { expect, it } from "vitest";

function parse(path: string): ts.SourceFile {
  const text = readFileSync(new URL(`../src/${path}`, import.meta.url), "utf8");
  return ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
}

/** Names that a file declares itself or imports from another file of the package. */
function ownNames(file: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  for (const statement of file.statements) {
    if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) names.add(statement.name.text);
    if (!ts.isImportDeclaration(statement) || !statement.moduleSpecifier.getText(file).startsWith('".')) continue;
    const bindings = statement.importClause?.namedBindings;
    if (bindings && ts.isNamedImports(bindings)) for (const { name } of bindings.elements) names.add(name.text);
  }
  return names;
}

/** Names of the types that a class or an interface extends, and that the signatures of its public members have. */
function typesInMembers(file: ts.SourceFile, name: string): Set<string> {
  const types = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isBlock(node) || (ts.isClassElement(node) && node.name && ts.isPrivateIdentifier(node.name))) return;
    if (ts.isTypeReferenceNode(node)) types.add(node.typeName.getText(file));
    if (ts.isExpressionWithTypeArguments(node)) types.add(node.expression.getText(file));
    ts.forEachChild(node, visit);
  };
  for (const statement of file.statements) {
    if (!ts.isClassDeclaration(statement) && !ts.isInterfaceDeclaration(statement)) continue;
    if (statement.name?.text !== name) continue;
    for (const clause of statement.heritageClauses ?? []) visit(clause);
    for (const member of statement.members) if (!ts.isConstructorDeclaration(member)) visit(member);
  }
  return types;
}

/** Names that an entry of the package exports. */
function exportsOf(entry: string): string[] {
  return parse(entry).statements.flatMap((statement) => {
    if (!ts.isExportDeclaration(statement) || !statement.exportClause) return [];
    return ts.isNamedExports(statement.exportClause)
      ? statement.exportClause.elements.map(({ name }) => name.text)
      : [];
  });
}

it.each([
  ["index.ts", "board/switchboard/events.ts", "SwitchboardEvents"],
  ["index.ts", "board/switchboard/switchboard.ts", "Switchboard"],
  ["index.ts", "board/switchboard/moving/moving.ts", "EvacuationResult"],
  ["index.ts", "board/switchboard/moving/recycler.ts", "RecycledShard"],
  ["index.ts", "board/switchboard/board-topics.ts", "EngineState"],
  ["index.ts", "errors.ts", "SwitchboardError"],
  ["wire/upgrade/index.ts", "errors.ts", "SwitchboardError"],
  ["wire/websocket/index.ts", "errors.ts", "SwitchboardError"],
  ["wire/websocket/index.ts", "wire/websocket/options.ts", "WebSocketOptions"],
])("exports from %s all types of the package that are part of %s: %s", (entry, path, name) => {
  const exported = exportsOf(entry);
  const file = parse(path);
  const own = ownNames(file);
  const types = [...typesInMembers(file, name)].filter((type) => own.has(type));
  expect(types).not.toEqual([]);
  expect(types.filter((type) => !exported.includes(type))).toEqual([]);
});
