// What a fake library remembers: settings of the test, calls that were made, objects that are alive.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define VERSION_TEXT TEXT(TRT_MAJOR) "." TEXT(TRT_MINOR) "." TEXT(TRT_PATCH)

class State
{
public:
    State()
    {
        if (char const* settings = std::getenv("TENSORRT_FAKE"))
        {
            control(settings);
        }
    }

    // key=value, separated by semicolons or line ends; replaces all settings.
    void control(char const* text)
    {
        std::lock_guard<std::mutex> lock(mMutex);
        mSettings.clear();
        std::string entry;
        for (char const* at = text;; ++at)
        {
            if (*at == ';' || *at == '\n' || *at == 0)
            {
                size_t const equals = entry.find('=');
                if (equals != std::string::npos)
                {
                    mSettings[entry.substr(0, equals)] = entry.substr(equals + 1);
                }
                entry.clear();
                if (*at == 0)
                {
                    return;
                }
            }
            else
            {
                entry += *at;
            }
        }
    }

    std::string setting(std::string const& key, std::string const& otherwise = "")
    {
        std::lock_guard<std::mutex> lock(mMutex);
        auto const found = mSettings.find(key);
        return found == mSettings.end() ? otherwise : found->second;
    }

    bool is(std::string const& key, std::string const& value)
    {
        return setting(key) == value;
    }

    void called(std::string const& call)
    {
        std::string const file = setting("log");
        std::lock_guard<std::mutex> lock(mMutex);
        mCalls.push_back(call);
        if (!file.empty())
        {
            if (FILE* out = std::fopen(file.c_str(), "a"))
            {
                std::fprintf(out, "%s\n", call.c_str());
                std::fclose(out);
            }
        }
    }

    std::string calls()
    {
        std::lock_guard<std::mutex> lock(mMutex);
        std::string all;
        for (auto const& call : mCalls)
        {
            all += call + "\n";
        }
        return all;
    }

    void forget()
    {
        std::lock_guard<std::mutex> lock(mMutex);
        mCalls.clear();
    }

private:
    std::mutex mMutex;
    std::map<std::string, std::string> mSettings;
    std::vector<std::string> mCalls;
};

// An object that others come from: whoever deletes it before them has made a mistake.
struct Parent
{
    State* state;
    char const* name;
    std::atomic<int> children{0};

    Parent(State* s, char const* n) : state(s), name(n) {}

    ~Parent()
    {
        state->called(std::string(name) + "::~" + name);
        if (children != 0)
        {
            state->called(std::string("VIOLATION: ") + name + " deleted before what came from it");
        }
    }
};

template <typename... Parts>
std::string say(Parts const&... parts)
{
    std::ostringstream out;
    (void) std::initializer_list<int>{((out << parts), 0)...};
    return out.str();
}
