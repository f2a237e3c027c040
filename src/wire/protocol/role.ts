/** Which end of a connection this is: frames from a client are masked, those from a server aren't (RFC 6455 section 5.1). */
export type Role = "server" | "client";
