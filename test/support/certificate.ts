/** Certificates for tests. */
import { type Certificate, createCertificate } from "../../bench/certificate.ts";

export { type Certificate, createCertificate };

let own: Certificate | undefined;

/** The certificate for localhost and 127.0.0.1. Each call returns the same one. */
export function selfSigned(): Certificate {
  own ??= createCertificate();
  return own;
}
