/** One token, as header lists and subprotocol names are made of. Source: RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** The members of a comma-separated header value, trimmed; empty members are dropped (RFC 9110 section 5.6.1). */
export function listMembers(value: string): string[] {
  return value
    .split(",")
    .map((member) => member.trim())
    .filter((member) => member !== "");
}

/** Whether a header's list has this member, in any letter case. */
export function hasMember(value: string | undefined, member: string): boolean {
  return value !== undefined && listMembers(value).some((one) => one.toLowerCase() === member);
}
