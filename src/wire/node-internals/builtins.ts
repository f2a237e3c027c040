/**
 * Modules of Node that are loaded by their first use. Every thread of a board imports all of this package with its
 * actor, and needs few of these modules. An `import` loads its module, and reads all of the module's exports, of which
 * some load more: to read `WebSocket` of `node:http` is to load undici, 20 ms of CPU time and 2.6 MB of memory for each
 * thread (Node 26.10). `getBuiltinModule` reads no export.
 */
export const builtins = {
  get cluster() {
    return keep("cluster", process.getBuiltinModule("node:cluster"));
  },
  get crypto() {
    return keep("crypto", process.getBuiltinModule("node:crypto"));
  },
  get http() {
    return keep("http", process.getBuiltinModule("node:http"));
  },
  get http2() {
    return keep("http2", process.getBuiltinModule("node:http2"));
  },
  get https() {
    return keep("https", process.getBuiltinModule("node:https"));
  },
  get inspector() {
    return keep("inspector", process.getBuiltinModule("node:inspector"));
  },
  get tls() {
    return keep("tls", process.getBuiltinModule("node:tls"));
  },
  get util() {
    return keep("util", process.getBuiltinModule("node:util"));
  },
  get zlib() {
    return keep("zlib", process.getBuiltinModule("node:zlib"));
  },
};

/** Puts a module in the place of its getter: Node takes 150 ns to find a module. */
function keep<Module>(name: string, module: Module): Module {
  Object.defineProperty(builtins, name, { value: module });
  return module;
}
