#include "tests/outcome_model.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace slotkv {

void OutcomeModel::Write(Cluster* cluster) {
  const std::string& key = keys_[(*random_)() % keys_.size()];
  std::set<std::string>* const possible =
      &possible_.try_emplace(key, std::set<std::string>{""}).first->second;
  const std::string value =
      (*random_)() % 5 == 0 ? "" : absl::StrCat(++version_, " ", std::string(100, 'x'));
  const absl::Status status =
      value.empty() ? cluster->Delete(key).status() : cluster->Set(key, value);
  absl::StrAppend(&history_[key], "; ", value.empty() ? "delete" : value.substr(0, 5), ": ",
                  status.ToString());
  // Only a deadline leaves the outcome open (cluster.h).
  if (status.ok()) possible->clear();
  if (status.ok() || absl::IsDeadlineExceeded(status)) {
    possible->insert(value);
  } else {
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  }
}

void OutcomeModel::ReadOne(Cluster* cluster, bool may_fail) {
  const std::string& key = keys_[(*random_)() % keys_.size()];
  Check(key, cluster->Get(key), may_fail);
}

void OutcomeModel::ReadAll(Cluster* cluster, bool may_fail) {
  for (const std::string& key : keys_) Check(key, cluster->Get(key), may_fail);
}

void OutcomeModel::Check(const std::string& key, const absl::StatusOr<std::string>& found,
                         bool may_fail) {
  const bool is_known = found.ok() || absl::IsNotFound(found.status());
  if (may_fail && !is_known) {
    EXPECT_FALSE(absl::IsDataLoss(found.status())) << key << ": " << found.status();
    return;
  }
  ASSERT_TRUE(is_known) << key << ": " << found.status() << history_[key];
  const std::string value = found.ok() ? *found : "";
  const auto possible = possible_.find(key);
  EXPECT_TRUE(possible == possible_.end() ? value.empty() : possible->second.count(value) == 1)
      << key << " holds " << (value.empty() ? "nothing" : value) << history_[key];
}

void OutcomeModel::Learn(Cluster* cluster) {
  for (auto& [key, possible] : possible_) {
    const absl::StatusOr<std::string> found = cluster->Get(key);
    Check(key, found, /*may_fail=*/false);
    possible = {found.ok() ? *found : ""};
    absl::StrAppend(&history_[key], "; looked at");
  }
}

}  // namespace slotkv
