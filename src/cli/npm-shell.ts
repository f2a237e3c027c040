/**
 * The shell of npm around a program. npx and `npm run` start a program in a shell, and pass SIGTERM to the shell alone:
 * the shell ends, and the program would go on without anybody to end it. `serve` watches the shell.
 */

/** Time between two looks at the parent process, in ms. */
const LOOK_MS = 500;

/**
 * Says whether npm has started `switchboard` in the shell that is the parent now, by npm's variables. A script with `&`
 * leaves the program behind on purpose.
 */
export function isInNpmShell({ npm_lifecycle_script: script = "" }: NodeJS.ProcessEnv): boolean {
  const runsUs = /(^|[\s"'/\\])switchboard["']?(\s|$)/.test(script);
  return runsUs && !/(^|[^&])&([^&]|$)/.test(script) && !/\b(nohup|setsid)\b/.test(script);
}

/** Calls back once the shell of npm has ended. Does nothing outside of one. */
export function onNpmShellEnd(callback: () => void, env: NodeJS.ProcessEnv = process.env): void {
  if (!isInNpmShell(env)) return;
  const shell = process.ppid;
  const timer = setInterval(() => {
    // A process whose parent has ended gets another one.
    if (process.ppid === shell) return;
    clearInterval(timer);
    callback();
  }, LOOK_MS).unref();
}
