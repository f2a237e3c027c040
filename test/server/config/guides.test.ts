/** The configs that the guides show, each as a file of its own. */
import { expect, it } from "vitest";
import { parseConfig } from "../../../src/server/config/load.ts";
import { codeBlocks, GUIDES, readReadme } from "../../support/readme.ts";
import { lines } from "./support.ts";

/** Examples in JSON that are no configs: questions to the application, its answers, and events. */
function isConfig(code: string): boolean {
  const example = JSON.parse(code) as Readonly<Record<string, unknown>>;
  return typeof example["client"] !== "string" && !("result" in example) && !("events" in example);
}

const configs = GUIDES.flatMap((guide) =>
  codeBlocks(readReadme(guide))
    .filter(({ language, code }) => language === "json" && isConfig(code))
    .map(({ code }, at) => ({ guide, at, code })),
);

it("finds the configs of the guides", () => {
  const guides = new Set(configs.map(({ guide }) => guide));
  expect([...guides]).toEqual(
    expect.arrayContaining(["config", "hooks", "serving"].map((one) => `src/guides/${one}.md`)),
  );
});

it.each(configs)("finds no fault and no warning in config $at of $guide", ({ guide, code }) => {
  const loaded = parseConfig(code, { file: guide });
  expect(lines(loaded.kind === "faults" ? loaded.faults : [])).toEqual([]);
  expect(lines(loaded.warnings)).toEqual([]);
});
