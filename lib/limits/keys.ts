/**
 * Limits and sharing by key: how users write them, their parsed form, and what is in force for one key.
 *
 * A queue object declares `keys` for its name as a whole. A setting of a single key is an override of it, and stays
 * when another declaration replaces the former one.
 */
import { describe, isArray, numberHint, OptionError } from '../errors.ts'
import { oneOf, optionsOf } from '../parse/option-names.ts'
import { parseKeyRate, type RateRule, type Rule, rulesFromJson } from '../rate/rules.ts'
import { leastWeight, mostWeight } from './fairness.ts'

/** Limits for each key, and how keys share. */
export interface KeysOptions {
  /** How many jobs of a key may be underway, in all processes together; 0 stops every key. Infinity by default. */
  width?: number | undefined
  /** One rule or several for each key. No limit by default. */
  rate?: Rule | readonly Rule[] | undefined
  /** The share of a key's starts, relative to other keys that have work: from 0.001 to 1,000; 1. */
  weight?: number | undefined
  /**
   * Which job is next: 'fair' lets keys share by weight, and priority decides within a key. 'priority' lets the most
   * important job of all keys that may start go first, so a key may starve. 'fair'.
   */
  order?: 'fair' | 'priority' | undefined
}

/** Parsed `keys`. */
export interface KeysPolicy {
  readonly width: number
  readonly rate: readonly RateRule[]
  readonly weight: number
  readonly order: 'fair' | 'priority'
}

/** The override of a single key. A field that is absent has the value of the policy. */
export interface KeyOverride {
  readonly width?: number | undefined
  readonly rate?: readonly RateRule[] | undefined
  readonly weight?: number | undefined
  readonly paused?: boolean | undefined
}

/** The settings in force for one key. */
export interface KeySettings {
  readonly width: number
  readonly rate: readonly RateRule[]
  readonly weight: number
  readonly paused: boolean
}

const names = ['width', 'rate', 'weight', 'order']

/** Without a declaration keys neither share nor limit: the most important job is next, whatever its key. */
export const noKeys: KeysPolicy = Object.freeze({
  width: Infinity,
  rate: Object.freeze([]),
  weight: 1,
  order: 'priority',
})

/** Jobs without a key are one key for sharing, and no limit of `keys` applies to them. */
export const keyless = ''

export function parseKeys(option: string, value: unknown): KeysPolicy {
  if (typeof value !== 'object' || value === null || isArray(value)) {
    throw new OptionError(option, value, `must be limits for each key such as { width: 2 }, got ${describe(value)}`)
  }
  const { width, rate, weight, order } = optionsOf(`${option}.`, value as KeysOptions, names) as KeysOptions
  oneOf(`${option}.order`, order, ['fair', 'priority'])
  return Object.freeze({
    width: width === undefined ? Infinity : parseKeyWidth(`${option}.width`, width),
    rate: parseKeyRate(`${option}.rate`, rate),
    weight: weight === undefined ? 1 : parseWeight(`${option}.weight`, weight),
    order: order ?? 'fair',
  })
}

export function parseKeyWidth(option: string, value: unknown): number {
  if (value === Infinity || (Number.isSafeInteger(value) && (value as number) >= 0)) return value as number
  const problem = `must be a whole number of 0 or more, or Infinity, got ${describe(value)}${numberHint(value)}`
  throw new OptionError(option, value, problem)
}

export function parseWeight(option: string, value: unknown): number {
  if (typeof value === 'number' && value >= leastWeight && value <= mostWeight) return value
  const hint = value === 0 ? '; to stop a key, set its width to 0 or pause it' : numberHint(value)
  const problem = `must be a number from ${leastWeight} to ${mostWeight}, got ${describe(value)}${hint}`
  throw new OptionError(option, value, problem)
}

export function settingsOf(policy: KeysPolicy, override: KeyOverride | undefined, key: string): KeySettings {
  // The weight applies to jobs without a key too, because they share.
  if (key === keyless) return { width: Infinity, rate: noKeys.rate, weight: policy.weight, paused: false }
  const { width = policy.width, rate = policy.rate, weight = policy.weight, paused = false } = override ?? {}
  return { width, rate, weight, paused }
}

/** The override after a change. Undefined if nothing is overridden any more. */
export function overridden(override: KeyOverride | undefined, change: KeyOverride): KeyOverride | undefined {
  const next = { ...override, ...change }
  for (const name of Object.keys(next) as (keyof KeyOverride)[]) if (next[name] === undefined) delete next[name]
  if (next.paused === false) delete next.paused
  return Object.keys(next).length === 0 ? undefined : Object.freeze(next)
}

// As text, for a store. JSON has no Infinity.

const replacer = (_: string, value: unknown): unknown => (value === Infinity ? 'Infinity' : value)
const reviver = (name: string, value: unknown): unknown => (name === 'width' && value === 'Infinity' ? Infinity : value)

export function textOfKeys(value: KeysPolicy | KeyOverride): string {
  return JSON.stringify(value, replacer)
}
export function keysFromText<T extends KeysPolicy | KeyOverride>(text: string): T {
  const parsed = JSON.parse(text, reviver) as T
  const { rate } = parsed
  return rate === undefined ? parsed : { ...parsed, rate: rulesFromJson(rate) }
}
