import type { Role } from '../../schemas/api/session.ts'

/** A person as an identity provider tells him, checked; nothing of the tokens is kept. */
export interface ProviderPerson {
  readonly issuer: string
  readonly subject: string
  /** What he is called there. */
  readonly name: string
  /** Values of the claim that roles come from. */
  readonly roleValues: readonly string[]
}

/** What a sign-in in progress must find again when the browser comes back: bound to that browser by a cookie. */
export interface PendingSignIn {
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
}

/** OpenID Connect, authorization code flow with PKCE. Implemented in `openid-provider.ts`. */
export interface IdentityProvider {
  /** Shown on the button. */
  readonly name: string
  /** Where to send the browser. @throws SealtrailError `IDENTITY_PROVIDER_UNAVAILABLE` */
  begin(redirectUri: string, pending: PendingSignIn): Promise<URL>
  /**
   * The person behind an answer of the provider.
   *
   * @param answer the address that the browser came back to, as a whole
   * @throws SealtrailError `CREDENTIALS_INVALID` for an answer that is not one to this question, or does not verify;
   *   `IDENTITY_PROVIDER_UNAVAILABLE`
   */
  finish(answer: URL, pending: PendingSignIn): Promise<ProviderPerson>
  /** The role that a person has here; undefined for one who has none. */
  roleOf(person: ProviderPerson): Role | undefined
  /** Where a browser ends the session over there; undefined where the provider has no such place. */
  endSessionUrl(returnTo: string): Promise<string | undefined>
}
