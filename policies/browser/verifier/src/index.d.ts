/** A request (`wit/request.schema.json`). Bytes may also be given as they are. */
export interface Request {
  /** The root layout's envelope; only with asserted trust may it be bare. */
  layout: Content;
  /** Why the layout is to be believed. */
  trust: Trust;
  /** Links and sublayouts, no two of one name. */
  documents?: readonly Document[];
  /** Results of inspections, which the caller vouches for. */
  inspections?: readonly Inspection[];
  /** Values for the layout's parameters by name. None at all: braces are literal. */
  parameters?: Readonly<Record<string, string>>;
  /** What the supply chain must have made. */
  subjects?: readonly Subject[];
  options?: Options;
  /** The time to judge at, in seconds since 1970-01-01T00:00:00Z. */
  now: number | bigint;
}

/** The bytes of a document, in one of three forms. */
export type Content =
  | { text: string; base64?: null; bytes?: null }
  | { base64: string; text?: null; bytes?: null }
  | { bytes: Uint8Array; text?: null; base64?: null };

export type Trust =
  /** Every one of these owners has signed it. */
  | { signed_by: readonly Key[]; asserted?: undefined }
  /** The caller vouches for it, and names functionaries. */
  | { asserted: readonly NamedKey[]; signed_by?: undefined };

/** A public key as in-toto metadata has it. */
export interface Key {
  keyid?: string | null;
  keytype: string;
  scheme: string;
  keyval: { public: string; [other: string]: unknown };
  keyid_hash_algorithms?: unknown;
}

export interface NamedKey {
  label: string;
  key: Key;
}

export type Document = Content & { name: string };

export type Inspection = Content & { at?: readonly string[] | null; name: string };

export interface Subject {
  name?: string | null;
  /** At least one of sha256, sha384 and sha512. */
  digests: Readonly<Record<string, string>>;
}

export interface Options {
  /** Whether warnings that may hide a hole are findings. */
  strict?: boolean;
  subject_steps?: readonly string[];
  summary_link?: boolean;
}

/** A whole number: a `bigint` where a `number` would be rounded. */
export type Whole = number | bigint;

export interface KeyReport {
  label: string;
  fingerprint: string;
}

export interface Signer extends KeyReport {
  document: string;
  sublayout: boolean;
}

export interface StepReport {
  at: string[];
  name: string;
  verified: boolean;
  threshold: Whole;
  signers: Signer[];
  missing: KeyReport[];
  materials: Whole;
  products: Whole;
}

export interface Finding {
  code: string;
  at: string[];
  document?: string;
  list?: string;
  rule?: Whole;
  artifact?: string;
  expected?: string;
  found?: string;
  message: string;
}

interface Judgement {
  trust: { basis: "signed" | "asserted"; keys: KeyReport[] };
  steps: StepReport[];
  findings: Finding[];
  warnings: Finding[];
  omitted: Whole;
  unconstrained: { count: Whole; artifacts: { at: string[]; list: string; artifact: string }[] };
  subjects: { subject: Whole; step: string; list: string; artifact: string }[];
  summary: { sha256: string; link?: string } | null;
  /** The earliest instant, in seconds since 1970, at which the answer could become another. */
  valid_until: Whole | null;
}

export interface Accept extends Judgement {
  decision: "accept";
}

export interface Reject extends Judgement {
  decision: "reject";
}

export interface Undecided {
  decision: "undecided";
  code: string;
  at: string[];
  limit: string | null;
  message: string;
  reasons: Finding[];
  warnings: Finding[];
  steps: StepReport[];
}

export interface Requirements {
  steps: { at: string[]; name: string; threshold: Whole; signers: KeyReport[]; documents: string[] }[];
  inspections: { at: string[]; name: string; run: string[] }[];
  valid_until: Whole | null;
}

/** `json` is the answer's exact JSON text, the same bytes on every host. */
export type Result =
  | { outcome: "accept"; answer: Accept; json: string }
  | { outcome: "reject"; answer: Reject; json: string }
  | { outcome: "undecided"; answer: Undecided; json: string };

export type Plan =
  | { outcome: "requirements"; answer: Requirements; json: string }
  | { outcome: "undecided"; answer: Undecided; json: string };

/**
 * Checks a signature, at once: true is believed; false only where exactly what the verifier accepts is accepted; undefined
 * leaves it to the verifier. Anything else, a Promise too, makes the answer undecided.
 */
export type Check = (
  key: { scheme: string; spki: Uint8Array },
  message: Uint8Array,
  signature: Uint8Array,
) => boolean | undefined;

export interface VerifyOptions {
  check?: Check;
  /** The most bytes of the verifier's memory; 2 GiB if it is not given. */
  memory?: number;
}

export interface DeadlineOptions {
  /** Counted from when the worker is ready; 60,000 if it is not given. */
  milliseconds?: number;
  /** The most bytes of the verifier's memory; 2 GiB if it is not given. */
  memory?: number;
}

/** Judges a request, or its JSON text. Refuse unless `outcome` is `accept`. It never throws. */
export function verify(request: Request | string, options?: VerifyOptions): Result;

/** Says what a `verify` of this request will need, once its layout is trusted. It never throws. */
export function plan(request: Request | string, options?: VerifyOptions): Plan;

/** Judges in a worker, which is ended at the deadline: undecided then. The promise is never rejected. */
export function verifyWithin(request: Request | string, options?: DeadlineOptions): Promise<Result>;

/** Starts the worker of the next `verifyWithin` ahead of time; true once it is ready. */
export function prepare(): Promise<boolean>;

/**
 * A text on one line, in which no character does anything to a terminal or a CI log. Messages quote names that whoever made
 * the evidence chose.
 */
export function oneLine(text: string): string;
