/** Frame opcodes, used by the codec, the WebSockets and the load generator. Source: RFC 6455 section 5.2. */
export const Opcode = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** True for close, ping and pong: control opcodes have their highest bit set. Source: RFC 6455 section 5.5. */
export function isControl(opcode: number): boolean {
  return (opcode & 0x8) !== 0;
}
