import { z } from 'zod'

/** What of a client certificate a binding names: its key, its subject, or one of its alternative names (RFC 5280). */
const forms = [
  /^spki-sha256:[0-9a-f]{64}$/,
  /^subject:[A-Za-z0-9.]+=.+$/,
  /^(?:DNS|URI|email):[^\s,"]+$/,
]

/**
 * Which certificate a source shows. `certificate` is one of
 *
 * - `spki-sha256:<hex>`: SHA-256 of the DER of the public key (RFC 7469 section 2.4); a renewal with the same key keeps it;
 * - `subject:CN=gateway, O=Acme`: the whole subject, in the order of the certificate;
 * - `DNS:gateway.example`, `URI:spiffe://acme/gateway`, `email:ops@acme.example`: one alternative name.
 */
export const CertificateBinding = z.strictObject({
  certificate: z
    .string()
    .max(512)
    .refine((text) => forms.some((form) => form.test(text)), {
      error:
        'must be spki-sha256:<64 hex digits>, subject:CN=…, DNS:name, URI:name or email:address',
    }),
  /** Whether the certificate is shown besides the key of the source, or is enough by itself. */
  use: z.enum(['with_key', 'instead_of_key']),
})
export type CertificateBinding = z.infer<typeof CertificateBinding>

/** What a sender showed, and an authority of ours had signed. */
export interface VerifiedCertificate {
  /** Every form in which a binding may name it. */
  readonly names: ReadonlySet<string>
}

/** What a sender showed besides its key. `reason` says why no authority of ours stands for it. */
export type ShownCertificate =
  | ({ readonly state: 'verified' } & VerifiedCertificate)
  | { readonly state: 'refused'; readonly reason: string }
  | { readonly state: 'none' }
