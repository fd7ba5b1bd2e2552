import * as openid from 'openid-client'
import type { Role } from '../../schemas/api/session.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import type { IdentityProvider, PendingSignIn, ProviderPerson } from './identity-provider.ts'
import { isLoopbackAddress } from './reach.ts'

export interface OpenIdOptions {
  /** Issuer as its tokens name it; https, or http on this machine. */
  readonly issuer: URL
  readonly clientId: string
  /** Absent for a public client: PKCE alone binds the code then. */
  readonly clientSecret: string | undefined
  readonly scopes: string
  /** Claim with the values that roles come from: a name, or a path with dots (`realm_access.roles`). */
  readonly roleClaim: string
  /** Roles in order of precedence, with the value of the claim that gives each; `*` is everybody there. */
  readonly roles: readonly { readonly role: Role; readonly value: string }[]
  /** Shown on the button. */
  readonly name: string
}

const timeoutSeconds = 10
const discoveryMs = 60 * 60_000

/**
 * Signs people in with OpenID Connect Core 1.0, authorization code flow with PKCE (RFC 7636), state, nonce and, where
 * the provider sends it, the issuer of the answer (RFC 9207). The signature of the ID token is checked although it came
 * over TLS. No token outlives {@link finish}.
 */
export class OpenIdProvider implements IdentityProvider {
  readonly name: string
  private readonly options: OpenIdOptions
  private readonly clock: () => number
  private discovered: { atMs: number; configuration: Promise<openid.Configuration> } | undefined

  constructor(options: OpenIdOptions, clock: () => number) {
    this.options = options
    this.clock = clock
    this.name = options.name
  }

  async begin(redirectUri: string, pending: PendingSignIn): Promise<URL> {
    const configuration = await this.configuration()
    return openid.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: this.options.scopes,
      code_challenge: await openid.calculatePKCECodeChallenge(pending.codeVerifier),
      code_challenge_method: 'S256',
      state: pending.state,
      nonce: pending.nonce,
    })
  }

  async finish(answer: URL, pending: PendingSignIn): Promise<ProviderPerson> {
    const configuration = await this.configuration()
    try {
      const tokens = await openid.authorizationCodeGrant(configuration, answer, {
        pkceCodeVerifier: pending.codeVerifier,
        expectedState: pending.state,
        expectedNonce: pending.nonce,
        idTokenExpected: true,
      })
      const claims: Readonly<Record<string, unknown>> | undefined = tokens.claims()
      const subject = claims?.['sub']
      const issuer = claims?.['iss']
      if (claims === undefined || typeof subject !== 'string' || typeof issuer !== 'string')
        throw new SealtrailError('CREDENTIALS_INVALID', 'the ID token names nobody')
      const all = await this.withUserInfo(configuration, tokens.access_token, subject, claims)
      return {
        issuer,
        subject,
        name: nameOf(all) ?? subject,
        roleValues: valuesAt(all, this.options.roleClaim),
      }
    } catch (cause) {
      throw refusalOf(cause)
    }
  }

  roleOf({ roleValues }: ProviderPerson): Role | undefined {
    const has = (value: string) => value === '*' || roleValues.includes(value)
    return this.options.roles.find(({ value }) => has(value))?.role
  }

  async endSessionUrl(returnTo: string): Promise<string | undefined> {
    const configuration = await this.configuration()
    if (configuration.serverMetadata().end_session_endpoint === undefined) return undefined
    // Without id_token_hint: no token is kept, so the provider asks the person.
    return openid.buildEndSessionUrl(configuration, { post_logout_redirect_uri: returnTo }).href
  }

  /** What the ID token leaves out (a provider may keep it small), the user info endpoint tells. */
  private async withUserInfo(
    configuration: openid.Configuration,
    accessToken: string,
    subject: string,
    claims: Readonly<Record<string, unknown>>,
  ): Promise<Readonly<Record<string, unknown>>> {
    const isWhole =
      nameOf(claims) !== undefined && valuesAt(claims, this.options.roleClaim).length > 0
    if (isWhole || configuration.serverMetadata().userinfo_endpoint === undefined) return claims
    // Refuses the answer about anybody but this subject.
    return { ...(await openid.fetchUserInfo(configuration, accessToken, subject)), ...claims }
  }

  private configuration(): Promise<openid.Configuration> {
    const nowMs = this.clock()
    if (this.discovered !== undefined && nowMs - this.discovered.atMs < discoveryMs)
      return this.discovered.configuration
    const configuration = this.discover()
    const discovered = { atMs: nowMs, configuration }
    this.discovered = discovered
    configuration.catch(() => {
      if (this.discovered === discovered) this.discovered = undefined
    })
    return configuration
  }

  private async discover(): Promise<openid.Configuration> {
    const { issuer, clientId, clientSecret } = this.options
    try {
      return await openid.discovery(
        issuer,
        clientId,
        undefined,
        clientSecret === undefined ? openid.None() : openid.ClientSecretBasic(clientSecret),
        {
          timeout: timeoutSeconds,
          execute: [
            openid.enableNonRepudiationChecks,
            ...(isPlainLoopback(issuer) ? [openid.allowInsecureRequests] : []),
          ],
        },
      )
    } catch (cause) {
      throw unavailable(cause)
    }
  }
}

/** Plain HTTP is for a provider on this machine. */
export function isPlainLoopback({ protocol, hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return protocol === 'http:' && (host === 'localhost' || isLoopbackAddress(host))
}

function nameOf(claims: Readonly<Record<string, unknown>>): string | undefined {
  for (const key of ['preferred_username', 'email', 'name']) {
    const value = claims[key]
    if (typeof value === 'string' && value !== '') return value
  }
  return undefined
}

/** Texts of a claim: one, or a list of them. A name with dots may be the claim itself, or the way to it. */
function valuesAt(claims: Readonly<Record<string, unknown>>, name: string): string[] {
  let value: unknown = claims[name]
  if (value === undefined) {
    value = claims
    for (const part of name.split('.')) {
      const fields: Map<string, unknown> =
        typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : new Map()
      value = fields.get(part)
    }
  }
  const list: unknown[] = Array.isArray(value) ? value : [value]
  return list.filter((each): each is string => typeof each === 'string')
}

function unavailable(cause: unknown): SealtrailError {
  return new SealtrailError(
    'IDENTITY_PROVIDER_UNAVAILABLE',
    'the identity provider does not answer as expected',
    { cause, retryable: true },
  )
}

/** A provider that is away is no wrong answer. Everything else is: of a foreign, an old or an altered sign-in. */
function refusalOf(cause: unknown): SealtrailError {
  if (cause instanceof SealtrailError) return cause
  const isNetwork =
    (cause instanceof TypeError && cause.message === 'fetch failed') ||
    (cause instanceof Error && cause.name === 'TimeoutError') ||
    (cause instanceof openid.ClientError && cause.code === 'OAUTH_TIMEOUT')
  if (isNetwork) return unavailable(cause)
  return new SealtrailError(
    'CREDENTIALS_INVALID',
    'the answer of the identity provider does not verify',
    { cause, hint: 'Begin again.' },
  )
}
