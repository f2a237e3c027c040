import { execFileSync } from "node:child_process";

/** A key and a certificate signed with it. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** A self-signed certificate for some server names and 127.0.0.1, made now. */
export function createCertificate(...names: readonly [string, ...string[]]): Certificate {
  const pem = execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
      ...["-subj", `/CN=${names[0]}`, "-addext"],
      `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")},IP:127.0.0.1`,
      ...["-keyout", "-", "-out", "-"],
    ],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  );
  const at = pem.indexOf("-----BEGIN CERTIFICATE-----");
  return { key: pem.slice(0, at), cert: pem.slice(at) };
}
