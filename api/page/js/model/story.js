/** Events in words, one line each: the same stories as the command line tells. Pure. */

import { brief, clock, count } from "../format.js";

/** @returns {string} */
export function tell(event) {
  const words = STORIES[event.type]?.(event) ?? brief(rest(event));
  return words + opened(event);
}

/** How an event is coloured: good, bad, change, or plain. */
export function toneOf(event) {
  if (/completed$/.test(event.type)) return event.recovered ? "warn" : "good";
  if (/(failed|lost)$/.test(event.type)) return "bad";
  if (/(cancel|closing|stopping|paused|owner)/.test(event.type)) return "warn";
  return "plain";
}

const place = (at) => {
  const parts = ["scope", "visit", "attempt"].filter((part) => at[part] !== 1).map((part) => `${part} ${at[part]}`);
  return parts.length ? `${at.step} (${parts.join(", ")})` : at.step;
};
const failure = (it) => `${it.type}${it.place ? ` at ${it.place}` : ""}: ${brief(it.message, 160)}`;
const ways = (event) => (event.taken?.length ? ` → ${event.taken.map((edge) => edge.to).join(", ")}` : "");
const output = (event) => (event.collected ? ": its items' outputs" : "output" in event ? `: ${brief(event.output)}` : "");
const variables = (event) => Object.entries(event.assigned ?? {}).map(([name, value]) => `; ${name} = ${brief(value, 60)}`).join("");

const STORIES = {
  "execution.started": (e) => `${e.definition} ${e.version}${"input" in e ? ` with ${brief(e.input)}` : ""}`,
  "step.completed": (e) => place(e.at) + output(e) + (e.recovered ? ` instead of ${failure(e.recovered)}` : "") + variables(e) + ways(e),
  "step.skipped": (e) => place(e.at) + ways(e),
  "step.failed": (e) => `${place(e.at)}: ${failure(e.failure)}${e.tolerated ? " (tolerated)" : ""}${ways(e)}`,
  "attempt.started": (e) => place(e.at),
  "attempt.failed": (e) => `${place(e.at)}: ${failure(e.failure)}; again at ${clock(e.retry_at_ms)}`,
  "attempt.retry_due": (e) => place(e.at),
  "attempt.lost": (e) => `${place(e.at)}: ${e.cause}`,
  "attempt.stopping": (e) => `${place(e.at)} was told to stop: ${failure(e.failure)}`,
  "attempt.ended": (e) => `${place(e.at)} ${e.returned ? `returned${output(e)}` : "left no output"}`,
  "scope.closing": (e) => `${e.step ? `items of ${e.step}` : e.scope === 1 ? "the execution" : `scope ${e.scope}`}: ${e.failure ? failure(e.failure) : e.canceled ? "canceled" : "decided early"}`,
  "scopes.opened": (e) => `${place(e.at)}, from scope ${e.first_scope}`,
  "region.canceling": (e) => `${place(e.at)}${output(e)}; told to stop: ${count(e.withdrawn?.length ?? 0)}`,
  "branch.completed": (e) => `scope ${e.scope}${output(e)}`,
  "branch.failed": (e) => `scope ${e.scope}: ${failure(e.failure)}`,
  "join.reopened": (e) => `${e.step} (scope ${e.scope}) starts afresh`,
  "signal.kept": (e) => `${e.name}${"data" in e ? `: ${brief(e.data)}` : ""}; no open wait takes it`,
  "event.kept": (e) => `${e.name} (${e.event_id}); no open wait takes it`,
  "handler.fired": (e) => `${e.handler} takes event ${e.event_id}`,
  "message.taken": (e) => `${e.message_id} changed nothing`,
  "task.opened": (e) => `${place(e.at)} asks a person about ${failure(e.failure)}`,
  "task.claimed": (e) => `${place(e.at)} by ${e.user}`,
  "task.released": (e) => `${place(e.at)}${e.user ? ` by ${e.user}` : ""}`,
  "task.assigned": (e) => `${place(e.at)} to ${[...(e.assignees ?? []), ...(e.candidates ?? [])].join(", ")}`,
  "task.progressed": (e) => `${place(e.at)} by ${e.user}${e.progress == null ? "" : `: ${e.progress} %`}`,
  "task.failed": (e) => `${place(e.at)} by ${e.user}: ${failure(e.failure)}`,
  "metadata.changed": (e) => Object.entries(e.metadata ?? {}).map(([name, value]) => `${name}=${value}`).join(", "),
  "property.violated": (e) => `${e.property}, by event ${e.number}`,
  "execution.paused": (e) => e.reason ?? "",
  "execution.resumed": () => "",
  "execution.retried": (e) => `run ${e.run} from ${e.from_step ? `step ${e.from_step}` : "where it failed"}`,
  "execution.migrated": (e) => `from version ${e.from_version} to ${e.version}${e.reason ? `: ${e.reason}` : ""}`,
  "execution.cancel_requested": (e) => e.reason ?? "",
  "execution.redirected": (e) => `goes on after ${failure(e.failure)}`,
  "execution.completed": (e) => brief(e.output ?? null),
  "execution.failed": (e) => failure(e.failure),
  "execution.canceled": (e) => e.reason ?? "",
  "owner.changed": (e) => `${e.owner} (epoch ${e.epoch}) makes again what may have run: ${count(e.reissued?.length ?? 0)}`,
};

function opened(event) {
  const all = event.activated;
  if (!all?.length) return "";
  const named = all.slice(0, 4).map((each) => each.step + (each.skipped ? " (skipped)" : each.width ? ` [${count(each.width)} item${each.width === 1 ? "" : "s"}]` : ""));
  return `; opens ${named.join(", ")}${all.length > 4 ? ` and ${count(all.length - 4)} more` : ""}`;
}

function rest(event) {
  const { seq, type, at_ms, ...others } = event;
  return others;
}
