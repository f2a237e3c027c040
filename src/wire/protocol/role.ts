/** Our end of a connection. Frames from a client are masked, frames from a server aren't (RFC 6455 section 5.1). */
export type Role = "server" | "client";
