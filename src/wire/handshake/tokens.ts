/** One token, as header lists and subprotocol names are made of. Source: RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** The members of a comma-separated header value, trimmed; empty members are dropped (RFC 9110 section 5.6.1). */
export function listMembers(value: string): string[] {
  return value
    .split(",")
    .map(trimBlanks)
    .filter((member) => member !== "");
}

/** Without the spaces and tabs at both ends, which is all the white space that HTTP knows (RFC 9110 section 5.6.3). */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text, start)) start++;
  while (start < end && isBlank(text, end - 1)) end--;
  return text.slice(start, end);
}

function isBlank(text: string, at: number): boolean {
  const character = text[at];
  return character === " " || character === "\t";
}

/** Whether a header's list has this member, in any letter case. */
export function hasMember(value: string | undefined, member: string): boolean {
  if (value === undefined) return false;
  return value.toLowerCase() === member || listMembers(value).some((one) => one.toLowerCase() === member);
}
