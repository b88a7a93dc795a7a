// The records of fields, and what is reported when traverse and they differ.
#include "debug_ctx/fields.h"

#include <algorithm>
#include <string>
#include <utility>

#include "debug_ctx/outside.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/state.h"
#include "debug_ctx/story.h"
#include "leakdetector/text.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

using leakdetector::Kind;
using leakdetector::Violation;

namespace {

// An owner with more fields than that is not gone through at every return, only when so many stores
// have come together that it costs no more than kVisitsPerStore for each.
constexpr size_t kSmallOwner = 64;
constexpr size_t kVisitsPerStore = 8;

constexpr int kPythonFrames = 64;

struct Visit {
  const HPyField* field;
  const void* object;
};

struct Collector {
  Host& host;
  std::vector<Visit> visits;
};

int Collect(HPyField* field, void* data) {
  auto& collector = *static_cast<Collector*>(data);
  if (!HPyField_IsNull(*field)) {
    collector.visits.push_back({field, Host::Native(HPy{field->_i})});
  }
  return 0;
}

// The fields that are not null, each once even if traverse visits it twice.
std::vector<Visit> VisitsOf(Host& host, const void* owner) {
  Collector collector{host, {}};
  host.Traverse(Host::Borrow(const_cast<void*>(owner)), &Collect, &collector);
  std::vector<Visit>& visits = collector.visits;
  std::ranges::sort(visits, {}, &Visit::field);
  visits.erase(std::unique(visits.begin(), visits.end(),
                           [](const Visit& a, const Visit& b) { return a.field == b.field; }),
               visits.end());
  return std::move(visits);
}

// Where a field is visited.
struct Finder {
  const HPyField* field;
  uintptr_t stop_sp;
  stacktrace::StackId found = stacktrace::kNoStack;
};

int Find(HPyField* field, void* data) {
  auto& finder = *static_cast<Finder*>(data);
  if (field != finder.field) return 0;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  finder.found = stacktrace::Capture(site, {finder.stop_sp, 0, kMaxStackDepth});
  return 1;
}

}  // namespace

void Fields::Add(Owner& owner, const void* value, const Entry& entry) {
  owner.objects[value].push_back(entry);
  owner.sum += Mix(value);
  owner.count++;
}

void Fields::Remove(Owner& owner, const void* value, const HPyField* field) {
  auto it = owner.objects.find(value);
  if (it == owner.objects.end()) return;  // put there when nobody looked
  auto& entries = it->second;
  // The one of this place if it is among the latest, which matters for the story only.
  constexpr size_t kLookedAt = 16;
  size_t chosen = entries.size() - 1;
  for (size_t i = 0; i < std::min(entries.size(), kLookedAt); i++) {
    if (entries[entries.size() - 1 - i].field == field) {
      chosen = entries.size() - 1 - i;
      break;
    }
  }
  entries[chosen] = entries.back();
  entries.pop_back();
  if (entries.empty()) owner.objects.erase(it);
  owner.sum -= Mix(value);
  owner.count--;
}

void Fields::Stored(const void* owner, const HPyField* field, const void* old, const void* value,
                    StoryId story, Call& call) {
  if (old == nullptr && value == nullptr) return;
  std::unique_ptr<Owner>& record = owners_[owner];
  if (record == nullptr) record = std::make_unique<Owner>();
  if (old != nullptr) Remove(*record, old, field);
  if (value == nullptr) return;
  CallStores& stores = call.stores;
  if (stores.number == 0) {
    stores.number = ++last_call_;
    call.attention = true;
    in_progress_.insert(stores.number);
  }
  record->stores_since_check++;
  Add(*record, value, {field, story, call.function, stores.number, false});
  if (!stores.owners.empty() && stores.owners.back() == owner) return;
  stores.owners.push_back(owner);
  if (stores.owners.size() >= stores.next_compaction) {
    // So that a function that never returns does not collect owners for ever.
    std::ranges::sort(stores.owners);
    stores.owners.erase(std::unique(stores.owners.begin(), stores.owners.end()),
                        stores.owners.end());
    std::erase_if(stores.owners, [&](const void* o) { return !owners_.contains(o); });
    stores.next_compaction = std::max<size_t>(64, stores.owners.size() * 2);
  }
}

void Fields::StoredElsewhere(const void* owner, const HPyField* field, const void* old,
                             const void* value) {
  if (owner == nullptr) return StoredWithoutOwner(value);
  if (old == nullptr && value == nullptr) return;
  std::unique_ptr<Owner>& record = owners_[owner];
  if (record == nullptr) record = std::make_unique<Owner>();
  if (old != nullptr) Remove(*record, old, field);
  if (value != nullptr) Add(*record, value, {field, 0, 0, 0, false});
}

void Fields::Taken(const void* owner, const void* value) {
  auto it = owners_.find(owner);
  if (it != owners_.end()) Remove(*it->second, value, nullptr);
}

void Fields::Cleared(const void* owner, bool dies) {
  if (owners_.empty()) return;
  auto it = owners_.find(owner);
  if (it == owners_.end()) return;
  for (auto& [object, entries] : it->second->objects) {
    for (Entry& entry : entries) {
      if (entry.call == 0 || entry.reported || in_progress_.contains(entry.call)) continue;
      entry.reported = true;
      if (IsForgotten(owner, entry.field)) continue;
      ReportLater(state_, NotVisited(owner, entry));
    }
  }
  if (dies) owners_.erase(it);
}

bool Fields::IsForgotten(const void* owner, const HPyField* field) {
  const ObjectHost::Struct in = state_.host.StructOf(Host::Borrow(const_cast<void*>(owner)));
  const char* place = reinterpret_cast<const char*>(field);
  if (in.bytes == nullptr || place < in.bytes || place + sizeof(*field) > in.bytes + in.size) {
    return false;
  }
  return HPyField_IsNull(*field);
}

void Fields::CheckReturn(Call& call) {
  std::vector<const void*>& owners = call.stores.owners;
  std::ranges::sort(owners);
  owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  for (const void* owner : std::exchange(owners, {})) {
    auto it = owners_.find(owner);
    if (it == owners_.end()) continue;
    Owner& record = *it->second;
    if (record.count > kSmallOwner && record.stores_since_check * kVisitsPerStore < record.count) {
      continue;  // a later return, the next traversal or the end of the owner tells
    }
    record.stores_since_check = 0;
    Compare(owner, &call);
  }
}

void Fields::End(CallStores* stores) {
  in_progress_.erase(stores->number);
  *stores = {};
}

void Fields::Compare(const void* owner, Call* call) {
  Host& host = state_.host;
  const std::vector<Visit> visits = VisitsOf(host, owner);
  absl::flat_hash_map<const void*, size_t> visited;
  for (const Visit& visit : visits) visited[visit.object]++;
  auto is_visited = [&](const HPyField* field) {
    return std::ranges::binary_search(visits, field, {}, &Visit::field);
  };

  // Reporting may run Python code, which may change the records and end the owner: so first all is
  // found out.
  std::vector<Entry> not_visited;
  std::vector<const HPyField*> not_owned;
  std::unique_ptr<Owner>& record = owners_[owner];
  if (record == nullptr) record = std::make_unique<Owner>();
  for (auto& [object, entries] : record->objects) {
    // What a function that has not returned has stored need not be visited yet.
    auto is_due = [&](const Entry& entry) {
      return (call != nullptr && entry.call == call->stores.number) ||
             !in_progress_.contains(entry.call);
    };
    const auto due = static_cast<size_t>(std::ranges::count_if(entries, is_due));
    auto found = visited.find(object);
    size_t missing = due - std::min(due, found == visited.end() ? 0 : found->second);
    // Those whose place is not visited are meant, and where they have moved, any.
    for (const bool exactly : {true, false}) {
      for (Entry& entry : entries) {
        if (missing == 0) break;
        if (!is_due(entry) || (exactly && is_visited(entry.field))) continue;
        missing--;
        if (entry.reported || entry.call == 0) continue;
        entry.reported = true;
        if (IsForgotten(owner, entry.field)) continue;
        not_visited.push_back(entry);
      }
    }
  }
  if (host.IsObserved(Host::Borrow(const_cast<void*>(owner)))) {
    for (const Visit& visit : visits) {
      auto stored = record->objects.find(visit.object);
      size_t& left = visited[visit.object];
      const size_t known = stored == record->objects.end() ? 0 : stored->second.size();
      if (left <= known || ownerless_.contains(visit.object)) continue;
      // Any of them may be the stranger; the one at a place where something else was stored is it.
      const bool exactly =
          stored != record->objects.end() &&
          std::ranges::find(stored->second, visit.field, &Entry::field) != stored->second.end();
      if (exactly) continue;
      left--;
      if (record->not_owned.insert(visit.object).second) not_owned.push_back(visit.field);
    }
  }
  std::vector<Violation> violations;
  violations.reserve(not_owned.size());
  for (const HPyField* field : not_owned) violations.push_back(NotOwned(owner, field));
  for (const Entry& entry : not_visited) {
    violations.push_back(NotVisited(owner, entry));
    // The function that stored has not returned to Python yet.
    if (call != nullptr && entry.call == call->stores.number && state_.settings.python_stacks) {
      violations.back().at->python = host.PythonFrames(kPythonFrames);
    }
  }
  for (Violation& violation : violations) {
    if (call == nullptr) {
      ReportLater(state_, std::move(violation));
    } else {
      Report(state_, *call, std::move(violation), /*can_fail=*/false);
    }
  }
}

Violation Fields::NotVisited(const void* owner, const Entry& entry) {
  Violation violation;
  violation.kind = Kind::kFieldNotVisited;
  violation.message = leakdetector::ComposeMessage(
      violation.kind, "HPyField_Store stored an object in a field of a '" +
                          state_.host.TypeName(Host::Borrow(const_cast<void*>(owner))) +
                          "' object that its HPy_tp_traverse does not visit");
  violation.api = "HPyField_Store";
  violation.argument = 3;
  NameFunction(state_, entry.function, &violation);
  violation.at = Filtered(state_, state_.stories.Native(entry.story));
  return violation;
}

Violation Fields::NotOwned(const void* owner, const HPyField* field) {
  Host& host = state_.host;
  const HPy handle = Host::Borrow(const_cast<void*>(owner));
  Finder finder{field, HPY_STACKTRACE_STOP()};
  host.Traverse(handle, &Find, &finder);
  Violation violation;
  violation.kind = Kind::kFieldNotOwned;
  violation.message = leakdetector::ComposeMessage(
      violation.kind, "HPy_tp_traverse of a '" + host.TypeName(handle) +
                          "' object visited a field in which nothing was stored with that object "
                          "as its owner");
  NameFunction(state_, state_.functions.NumberOf(host.TraverseFunction(handle)), &violation);
  violation.at = Filtered(state_, finder.found);
  if (state_.settings.python_stacks) violation.at->python = host.PythonFrames(kPythonFrames);
  return violation;
}

namespace {

struct Counter {
  cpy_visitproc visit;
  void* arg;
  uint64_t sum = 0;
  bool stopped = false;
};

int Count(cpy_PyObject* object, void* data) {
  auto& counter = *static_cast<Counter*>(data);
  counter.sum += Fields::Mix(object);
  const int result = counter.visit(object, counter.arg);
  if (result != 0) counter.stopped = true;
  return result;
}

}  // namespace

void CheckedTraverse(State& state, HPyCFunction function, _HPyFunc_args_TRAVERSEPROC& args) {
  HPyContext* const universal = state.universal;
  Counter counter{args.visit, args.arg};
  _HPyFunc_args_TRAVERSEPROC counted = args;
  counted.visit = &Count;
  counted.arg = &counter;
  universal->ctx_CallRealFunctionFromTrampoline(universal, HPyFunc_TRAVERSEPROC, function,
                                                &counted);
  args.result = counted.result;
  // A visit that ended the traversal saw a part of the fields only.
  if (counter.stopped) return;
  state.guards.CheckLive(Host::Borrow(args.self));
  if (state.host.FieldVisitsOf(Host::Borrow(args.self)) != FieldVisits::kObserved) return;
  state.fields.CheckTraversal(args.self, counter.sum);
}

}  // namespace hpy::debug_ctx
